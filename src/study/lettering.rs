//! Text in a picture, with one bitmap font: the captions of a contact sheet.

/// Pixels of a letter and of the line it stands in.
pub(super) const WIDTH: usize = 6;
pub(super) const HEIGHT: usize = 13;
/// Bytes of a glyph: its code point in two, high byte first, then a byte a row, whose highest [`WIDTH`] bits are the pixels.
const GLYPH: usize = 2 + HEIGHT;
/// Latin, Greek and Cyrillic letters of the font 6x13 of X11 (misc-fixed, ISO 10646; "Public domain font. Share and enjoy."),
/// ascending by code point.
const FONT: &[u8] = include_bytes!("misc-fixed-6x13.bin");
/// What stands for a letter that the font does not have.
const MISSING: char = '\u{25a1}';
/// Where a long name may go on in the next line: behind one of these.
const BREAKS: [char; 4] = ['/', '_', '-', ' '];

/// The rows of a letter.
fn glyph(letter: char) -> &'static [u8] {
    let find = |letter: char| {
        let (glyphs, _) = FONT.as_chunks::<GLYPH>();
        let code = |glyph: &[u8; GLYPH]| u32::from(u16::from_be_bytes([glyph[0], glyph[1]]));
        glyphs.binary_search_by_key(&u32::from(letter), code).ok().map(|place| &glyphs[place][2..])
    };
    find(letter).or_else(|| find(MISSING)).unwrap_or_default()
}

/// Draws one line in white into `rgb`, three bytes per pixel and `width` pixels a row, from the pixel (`top`, `left`) on. What
/// reaches beyond the picture is left out.
pub(super) fn draw(rgb: &mut [u8], width: usize, (top, left): (usize, usize), text: &str) {
    for (letter, begin) in text.chars().zip((left..).step_by(WIDTH)) {
        for (y, row) in (top..).zip(glyph(letter)) {
            for x in (0..WIDTH).filter(|x| (row << x) & 0x80 != 0 && begin + x < width) {
                let at = 3 * (y * width + begin + x);
                if let Some(pixel) = rgb.get_mut(at..at + 3) {
                    pixel.fill(u8::MAX);
                }
            }
        }
    }
}

/// Text in lines of at most `letters`, broken where names and sentences have a joint. Of more than `most` lines the end stays,
/// which tells more of a path, behind an ellipsis.
pub(super) fn in_lines(text: &str, letters: usize, most: usize) -> Vec<String> {
    let letters = letters.max(2);
    let all: Vec<char> = text.chars().collect();
    let mut lines: Vec<&[char]> = Vec::new();
    let mut rest = &all[..];
    while rest.len() > letters {
        let joint = rest[..letters].iter().rposition(|letter| BREAKS.contains(letter)).map_or(letters, |at| at + 1);
        // A joint near the beginning would leave most of the line empty.
        let (line, more) = rest.split_at(if 3 * joint < letters { letters } else { joint });
        lines.push(line);
        rest = more;
    }
    lines.push(rest);
    let left_out = lines.len().saturating_sub(most.max(1));
    let mut kept: Vec<String> = lines[left_out..].iter().map(|line| line.iter().collect()).collect();
    if let Some(first) = kept.first_mut().filter(|_| left_out > 0) {
        let end: String = first.chars().skip((first.chars().count() + 1).saturating_sub(letters)).collect();
        *first = format!("\u{2026}{end}");
    }
    kept.iter().map(|line| line.trim_end().to_owned()).collect()
}

/// Text of at most `letters`, whose end is cut.
pub(super) fn cut(text: &str, letters: usize) -> String {
    if text.chars().count() <= letters {
        return text.to_owned();
    }
    text.chars().take(letters.saturating_sub(1)).chain(['\u{2026}']).collect()
}

/// Paths as they are told apart: without the folders that all of them begin with, and without their endings.
pub(super) fn told_apart(paths: &[&str]) -> Vec<String> {
    let folders = |path: &str| path.rfind('/').map_or(0, |end| end + 1);
    let first = paths.first().copied().unwrap_or_default();
    let mut shared = &first[..folders(first)];
    while !paths.iter().all(|path| path.starts_with(shared)) {
        shared = &shared[..folders(shared.trim_end_matches('/'))];
    }
    let short = |path: &&str| {
        let own = &path[shared.len()..];
        let name = &own[folders(own)..];
        // Dots within a name, as of a DICOM identifier, are no ending.
        let ending =
            name.rfind('.').filter(|&dot| dot > 0 && name[dot..].len() <= 5 && !name.ends_with(char::is_numeric));
        own[..own.len() - ending.map_or(0, |dot| name.len() - dot)].to_owned()
    };
    paths.iter().map(short).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_drawn_where_they_belong_and_unknown_ones_as_a_box() {
        let (width, height) = (2 * WIDTH + 3, HEIGHT + 1);
        let mut rgb = vec![9; 3 * width * height];
        draw(&mut rgb, width, (1, 2), "I\u{4e2d}!!"); // the last is beyond the picture
        let white = |y: usize, x: usize| rgb[3 * (y * width + x)..][..3] == [255; 3];
        let rows: Vec<String> =
            (0..height).map(|y| (0..width).map(|x| if white(y, x) { '#' } else { '.' }).collect()).collect();
        assert_eq!(rows[..3], ["...............", "...............", "..............."]);
        assert_eq!(rows[3], "...###.........", "the serif of the I");
        assert_eq!(rows[6], "....#...#####..", "its stem, and the box");
        assert_eq!(glyph('\u{4e2d}'), glyph(MISSING));
        for letter in [' ', 'a', 'z', '\u{e9}', '\u{142}', '\u{3a9}', '\u{44f}', '\u{2026}'] {
            assert_ne!(glyph(letter), glyph(MISSING), "{letter}");
        }
    }

    #[test]
    fn long_names_break_at_their_joints_and_keep_their_end() {
        assert_eq!(in_lines("patient00012/study1/view1_frontal", 21, 2), ["patient00012/study1/", "view1_frontal"]);
        assert_eq!(in_lines("short", 21, 2), ["short"]);
        assert_eq!(in_lines("0123456789abcdefghij", 8, 2), ["\u{2026}9abcdef", "ghij"], "no line is longer");
        assert_eq!(in_lines("", 8, 2), [""]);
        assert!(in_lines("a/b c_d-e", 0, 0).iter().all(|line| line.chars().count() <= 2));
        assert_eq!((cut("Edema", 5).as_str(), cut("Oedema", 5).as_str()), ("Edema", "Oede\u{2026}"));
    }

    #[test]
    fn names_lose_what_all_share() {
        let of = |paths: &[&str]| told_apart(paths);
        assert_eq!(of(&["set/a/1.png", "set/a/2.png"]), ["1", "2"]);
        assert_eq!(of(&["set/a/1.png", "set/ab/1.jpeg"]), ["a/1", "ab/1"]);
        assert_eq!(of(&["1.2.840.113", "film.dcm"]), ["1.2.840.113", "film"]);
        assert_eq!(of(&["one.png"]), ["one"]);
        assert!(of(&[]).is_empty());
    }
}
