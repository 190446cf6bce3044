/* The text of a document, with sentences and mentions as nested elements. */

/** Create an element. Texts are added as text nodes, so nothing in a document is interpreted as HTML. */
function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

const GOLDEN_ANGLE = 137.508; // consecutive numbers have distant hues

/** Set the colour and the underline of an entity, by its number. */
function colour(node, entity) {
  node.style.setProperty("--hue", ((200 + entity * GOLDEN_ANGLE) % 360).toFixed(1));
  node.dataset.line = Math.floor(entity / 9) % 4;
  return node;
}

/** Name of a mention. */
function mentionName(doc, mention) {
  const [start, end, , , name] = doc.mentions[mention];
  return name ?? doc.text.slice(start, end).replace(/\s+/g, " ").trim();
}

/** Codes of entity types: the shortest beginnings that differ. */
function typeCodes(types) {
  const code = (type) => {
    for (let length = 1; length < type.length; length += 1) {
      const start = type.slice(0, length).toLowerCase();
      if (types.every((other) => other === type || !other.toLowerCase().startsWith(start))) return type.slice(0, length);
    }
    return type;
  };
  return new Map(types.map((type) => [type, code(type)]));
}

/** Mark of an entity: the code of its type and its number. */
const markOf = (doc, entity) => `${codes.get(doc.entities[entity][1]) ?? ""}${entity + 1}`;

const VOCABULARIES = [
  { type: /chem|drug|disease/i, id: /^(?:MESH:)?([CD]\d{6,9})$/, name: "MeSH", url: "https://meshb.nlm.nih.gov/record/ui?ui=" },
  { type: /gene/i, id: /^(?:NCBIGene:)?(\d+)$/i, name: "NCBI Gene", url: "https://www.ncbi.nlm.nih.gov/gene/" },
  { type: /species|organism/i, id: /^(?:NCBITaxon:)?(\d+)$/i, name: "NCBI Taxonomy", url: "https://www.ncbi.nlm.nih.gov/taxonomy/?term=" },
  { type: /variant|mutation/i, id: /^(rs\d+)$/, name: "dbSNP", url: "https://www.ncbi.nlm.nih.gov/snp/" },
  { type: /./, id: /^(Q\d+)$/, name: "Wikidata", url: "https://www.wikidata.org/wiki/" },
];

/** Identifier of an entity, as a link if its vocabulary is known. */
function identifier(id, type) {
  for (const { type: types, id: form, name, url } of VOCABULARIES) {
    const found = types.test(type) && form.exec(id);
    if (found) return element("a", { href: url + found[1], target: "_blank", rel: "noopener noreferrer", title: `${id} in ${name}` }, named(id));
  }
  return named(id);
}

/** A name, isolated from the writing direction around it. */
const named = (name) => element("bdi", {}, name);

/** Fill a box with the text of a document; its textContent is exactly that text. */
function drawText(box, doc) {
  box.replaceChildren();
  const breaks = doc.sections.slice(1).map(([start]) => start);
  let paragraph = element("p", { dir: "auto", class: breaks.length ? "first" : null });
  box.append(paragraph);
  const inside = doc.sentences.map(() => []);
  doc.mentions.forEach((mention, number) => inside[mention[3]].push(number));
  let offset = 0;
  doc.sentences.forEach(([start, end], number) => {
    if (breaks.length && start >= breaks[0]) {
      while (breaks.length && start >= breaks[0]) breaks.shift();
      paragraph.append(doc.text.slice(offset, start));
      offset = start;
      paragraph = element("p", { dir: "auto" });
      box.append(paragraph);
    }
    const sentence = element("span", { class: "sentence", "data-sentence": number, "data-label": `S${number + 1}` });
    drawMentions(sentence, doc, inside[number], start, end);
    paragraph.append(doc.text.slice(offset, start), sentence);
    offset = end;
  });
  paragraph.append(doc.text.slice(offset));
}

/** Nested mentions become nested elements; a mention that crosses the end of another is split. */
function drawMentions(sentence, doc, numbers, start, end) {
  const spans = (number) => doc.mentions[number];
  const waiting = numbers
    .map((number) => ({ number, start: spans(number)[0], end: spans(number)[1] }))
    .sort((a, b) => a.start - b.start || b.end - a.end || a.number - b.number);
  const open = [{ node: sentence, end }];
  let here = start;
  const until = (offset) => {
    open[open.length - 1].node.append(doc.text.slice(here, offset));
    here = offset;
  };
  const close = (offset) => {
    while (open.length > 1 && open[open.length - 1].end <= offset) {
      const { end: last, node, rest } = open[open.length - 1];
      until(last);
      if (!rest) node.classList.add("ends");
      open.pop();
    }
  };
  while (waiting.length) {
    const next = waiting.shift();
    close(next.start);
    until(next.start);
    const room = open[open.length - 1].end;
    const rest = next.end > room;
    if (rest) {
      waiting.push({ number: next.number, start: room, end: next.end });
      waiting.sort((a, b) => a.start - b.start || b.end - a.end || a.number - b.number);
    }
    const entity = spans(next.number)[2];
    const [id, type] = doc.entities[entity];
    const node = element("mark", {
      "data-mention": next.number,
      "data-entity": entity,
      "data-mark": markOf(doc, entity),
      title: `${entity + 1}: ${doc.entities[entity][2]} (${id}, ${type})`,
    });
    open[open.length - 1].node.append(colour(node, entity));
    open.push({ node, end: Math.min(next.end, room), rest });
  }
  close(end);
  until(end);
}

/** The name of an entity with its number and colour. */
function entityName(doc, entity) {
  const swatch = colour(element("span", { class: "swatch", title: doc.entities[entity][1] }, markOf(doc, entity)), entity);
  return element("span", { class: "entity-name" }, swatch, named(doc.entities[entity][2]));
}

/** Table of the entities of a document, with their numbers and colours. */
function drawEntities(box, doc, choose) {
  const mentions = doc.entities.map(() => 0);
  for (const mention of doc.mentions) mentions[mention[2]] += 1;
  const rows = doc.entities.map(([id, type, name], number) =>
    element(
      "tr",
      {},
      element("td", {}, colour(element("span", { class: "swatch" }, markOf(doc, number)), number)),
      element("td", {}, element("button", { type: "button", class: "link", click: () => choose(name) }, named(name))),
      element("td", {}, type),
      element("td", {}, identifier(id, type)),
      element("td", { class: "number" }, String(mentions[number])),
    ),
  );
  const titles = ["Mark", "Name", "Type", "Identifier", "Mentions"];
  const head = element("tr", {}, ...titles.map((title) => element("th", { scope: "col" }, title)));
  box.replaceChildren(
    element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows)),
  );
}

/**
 * Show the reasons for a relation in the text: mentions with their weights, sentences with labels.
 *
 * doc: the document; mentions: Map from mention to {side, weight}; sentences: Map from sentence to {path, label, important}.
 */
function highlightText(box, doc, mentions, sentences, isChosen) {
  box.classList.toggle("chosen", isChosen);
  for (const mark of box.querySelectorAll("mark")) {
    const { side, weight } = mentions.get(Number(mark.dataset.mention)) ?? {};
    mark.classList.remove("head", "tail", "via");
    const known = weight !== null && weight !== undefined;
    if (side) mark.classList.add(side);
    mark.style.setProperty("--strength", known ? weight.toFixed(3) : "0.5");
    const letter = { head: "H", tail: "T", via: "via" }[side];
    const percent = known ? ` ${Math.round(weight * 100)}%` : "";
    mark.dataset.mark = letter ? `${letter}${percent}` : markOf(doc, Number(mark.dataset.entity));
  }
  for (const span of box.querySelectorAll(".sentence")) {
    const number = Number(span.dataset.sentence);
    const { path, label, important } = sentences.get(number) ?? {};
    span.classList.toggle("path", Boolean(path));
    span.classList.toggle("important", Boolean(important));
    const words = [path ? "path" : "", label ?? ""].filter(Boolean);
    span.dataset.label = [`S${number + 1}`, ...words].join(" · ");
  }
}
