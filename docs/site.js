// Inline code breaks between its words, and within a long one only where a path or an assignment does: not at hyphens.
for (const code of document.querySelectorAll(".content :not(pre) > code")) {
  const words = code.textContent.split(/\s+/);
  code.replaceChildren(...words.flatMap((word, i) => {
    const span = document.createElement("span");
    if (word.length <= 20) {
      span.className = "word";
      span.textContent = word;
    } else {
      for (const piece of word.split(/(?<=[\/_=:])/)) span.append(piece, document.createElement("wbr"));
    }
    return i ? [" ", span] : [span];
  }));
}
