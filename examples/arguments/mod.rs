//! Command-line arguments of the examples.

/// Reads arguments of the form `--name value`. Returns the values in the order of `names`; `None` if not given.
pub(crate) fn values<const N: usize>(names: [&str; N]) -> Result<[Option<String>; N], String> {
    let mut values = [const { None }; N];
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        let place = names.iter().position(|known| *known == name);
        let place = place.ok_or_else(|| format!("unknown argument {name}, expected {}", names.join(", ")))?;
        values[place] = Some(given.next().ok_or_else(|| format!("{name} needs a value"))?);
    }
    Ok(values)
}
