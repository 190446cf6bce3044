/* The document graph as SVG: three node types in three columns, five edge types. */

const EDGES = [
  { name: "mention co_occurs mention", look: "co-occurs", text: "mention–mention" },
  { name: "mention refers_to entity", look: "refers-to", text: "mention–entity" },
  { name: "mention in sentence", look: "mention-in", text: "mention–sentence" },
  { name: "entity in sentence", look: "entity-in", text: "entity–sentence" },
  { name: "sentence with sentence", look: "with", text: "sentence–sentence" },
];
const KINDS = { s: "sentence", m: "mention", e: "entity" };
const MANY = 600; // edges of one type that are hidden by default
const LONGEST = 50; // characters of a name
const ROW = 23;
const GAP = 9;
const TOP = 14;

/** Edges of a document as [type, node, node], each once; the same as those of glre_pyg.data.graph.build_graph. */
function edgesOf(doc) {
  const inside = doc.sentences.map(() => []);
  const joined = new Set();
  const edges = [];
  doc.mentions.forEach(([, , entity, sentence], mention) => {
    for (const other of inside[sentence]) edges.push([0, `m${other}`, `m${mention}`]);
    inside[sentence].push(mention);
    edges.push([1, `m${mention}`, `e${entity}`], [2, `m${mention}`, `s${sentence}`]);
    joined.add(`${entity} ${sentence}`);
  });
  for (const pair of joined) {
    const [entity, sentence] = pair.split(" ");
    edges.push([3, `e${entity}`, `s${sentence}`]);
  }
  doc.sentences.forEach((_, one) => {
    for (let other = 0; other < one; other += 1) edges.push([4, `s${other}`, `s${one}`]);
  });
  return edges;
}

/** Positions of nodes: sentences and mentions in the order of the text, entities level with their first mention. */
function layOut(doc, width) {
  const at = {};
  const room = (kind, nodes) =>
    18 + 6.8 * nodes.reduce((most, _, number) => Math.max(most, Math.min(nodeNames(doc, `${kind}${number}`)[1].length, LONGEST)), 0);
  const [forMention, forEntity] = [room("m", doc.mentions), room("e", doc.entities)];
  const x = { s: Math.min(width * 0.14, 96), m: Math.min(width * 0.29, 220) };
  x.e = Math.max(x.m + forMention + 6, Math.min(width * 0.74, width - forEntity));
  width = Math.max(width, x.e + forEntity); // the drawing scrolls rather than cut a name
  const inside = doc.sentences.map(() => []);
  doc.mentions.forEach((mention, number) => inside[mention[3]].push(number));
  const bands = [];
  let y = TOP;
  inside.forEach((mentions, sentence) => {
    mentions.sort((a, b) => doc.mentions[a][0] - doc.mentions[b][0] || a - b);
    const height = Math.max(mentions.length, 1) * ROW;
    at[`s${sentence}`] = { x: x.s, y: y + height / 2 };
    mentions.forEach((mention, row) => (at[`m${mention}`] = { x: x.m, y: y + (row + 0.5) * ROW }));
    bands.push([y - GAP / 2, height + GAP]);
    y += height + GAP;
  });
  const first = new Map();
  doc.mentions.forEach(([, , entity], mention) => {
    if (!first.has(entity)) first.set(entity, at[`m${mention}`].y);
  });
  const order = [...first].map(([entity, level]) => ({ entity, y: level })).sort((a, b) => a.y - b.y || a.entity - b.entity);
  order.forEach((each, index) => (each.y = Math.max(each.y, index ? order[index - 1].y + ROW : TOP + ROW / 2)));
  let limit = y - GAP - ROW / 2;
  for (const each of [...order].reverse()) {
    each.y = Math.min(each.y, limit); // nothing below the last sentence
    limit = each.y - ROW;
  }
  for (const each of order) at[`e${each.entity}`] = { x: x.e, y: each.y };
  return { at, bands, x, width, height: Math.max(y, TOP + ROW) };
}

/** Curve of an edge: an arc to the left within a column, otherwise a line that starts and ends horizontally. */
function curve(at, [kind, from, to]) {
  const [a, b] = [at[from], at[to]];
  const n = (value) => value.toFixed(1);
  if (kind === 0 || kind === 4) {
    const bulge = Math.min(10 + Math.abs(b.y - a.y) * (kind ? 0.3 : 0.45), kind ? a.x * 1.2 : 64);
    return `M${n(a.x)} ${n(a.y)}C${n(a.x - bulge)} ${n(a.y)} ${n(b.x - bulge)} ${n(b.y)} ${n(b.x)} ${n(b.y)}`;
  }
  const middle = (a.x + b.x) / 2;
  return `M${n(a.x)} ${n(a.y)}C${n(middle)} ${n(a.y)} ${n(middle)} ${n(b.y)} ${n(b.x)} ${n(b.y)}`;
}

function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** Shape of a node type: square, circle or diamond. */
function shape(kind) {
  if (kind === "s") return svg("rect", { x: -8, y: -8, width: 16, height: 16, rx: 2 });
  return kind === "m" ? svg("circle", { r: 5 }) : svg("path", { d: "M0-8L8 0L0 8L-8 0Z" });
}

const short = (text, length) => (text.length > length ? `${[...text].slice(0, length - 1).join("")}…` : text);

/** Name of a node, in full and in the drawing. */
function nodeNames(doc, key) {
  const [kind, number] = [key[0], Number(key.slice(1))];
  if (kind === "s") {
    const [start, end] = doc.sentences[number];
    return [`sentence S${number + 1}: ${doc.text.slice(start, end)}`, `S${number + 1}`];
  }
  if (kind === "e") {
    const [id, type, name] = doc.entities[number];
    return [`entity ${number + 1}: ${name}, ${type}, ${id}`, `${markOf(doc, number)} ${name}`];
  }
  const name = mentionName(doc, number);
  const [, , entity, sentence] = doc.mentions[number];
  return [`mention “${name}” of entity ${entity + 1} in sentence S${sentence + 1}`, name];
}

/**
 * Draw the graph of a document into a box. All edges of a type are one element, so that thousands stay fast.
 *
 * Returns the number of edges of each type, and functions that update which types are shown and highlight a path.
 */
function drawGraph(box, doc, isShown) {
  const edges = edgesOf(doc);
  const layout = layOut(doc, Math.max(box.clientWidth - 12, 340));
  const { at, width, height, bands } = layout;
  const bySide = Object.keys(at);
  const backs = bands.map(([y, tall], number) =>
    svg("rect", { class: number % 2 ? "band odd" : "band", x: 0, y, width, height: tall }),
  );
  const counts = EDGES.map(() => 0);
  const lines = EDGES.map(({ look }) => svg("path", { class: `edge ${look}` }));
  const strokesOf = EDGES.map(() => []);
  for (const edge of edges) {
    counts[edge[0]] += 1;
    strokesOf[edge[0]].push(curve(at, edge));
  }
  lines.forEach((line, kind) => line.setAttribute("d", strokesOf[kind].join("")));
  const over = svg("g", { class: "over" });
  const chosen = svg("g", { class: "on-path" });
  const nodes = new Map();
  for (const key of bySide) {
    const [full, brief] = nodeNames(doc, key);
    const kind = key[0];
    const label = svg("text", { x: kind === "s" ? -12 : 12, y: 4, class: kind === "s" ? "before" : "" });
    label.textContent = short(brief, LONGEST);
    const title = svg("title");
    title.textContent = full;
    const node = svg("g", { class: `node ${KINDS[kind]}`, role: "img", tabindex: -1, "aria-label": full, "data-key": key });
    node.setAttribute("transform", `translate(${at[key].x.toFixed(1)} ${at[key].y.toFixed(1)})`);
    node.append(title, shape(kind), label);
    if (kind !== "s") colour(node, kind === "e" ? Number(key.slice(1)) : doc.mentions[Number(key.slice(1))][2]);
    nodes.set(key, node);
  }
  const count = (kind) => bySide.filter((key) => key[0] === kind).length;
  const summary = `Document graph: ${count("s")} sentences, ${count("m")} mentions, ${count("e")} entities. Arrow keys move between nodes.`;
  const drawing = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": summary });
  drawing.append(...backs, ...lines, over, chosen, ...nodes.values());
  box.replaceChildren(drawing);
  if (bySide.length) nodes.get(bySide[0]).setAttribute("tabindex", 0);

  const strokes = (group, some) =>
    group.replaceChildren(...some.map((each) => svg("path", { class: `edge ${EDGES[each[0]].look}`, d: curve(at, each) })));
  const near = (key) => {
    const some = key ? edges.filter((each) => isShown(each[0], counts[each[0]]) && (each[1] === key || each[2] === key)) : [];
    const keys = new Set(some.flatMap((each) => each.slice(1)).concat(key ?? []));
    drawing.classList.toggle("looking", Boolean(key));
    for (const [other, node] of nodes) node.classList.toggle("near", keys.has(other));
    strokes(over, some);
  };
  const keyOf = (event) => event.target.closest?.(".node")?.dataset.key;
  drawing.addEventListener("pointerover", (event) => near(keyOf(event)));
  drawing.addEventListener("pointerleave", () => near(null));
  drawing.addEventListener("focusin", (event) => near(keyOf(event)));
  drawing.addEventListener("focusout", () => near(null));
  drawing.addEventListener("keydown", (event) => {
    const key = keyOf(event);
    const next = key && neighbour(at, key, event.key);
    if (!next) return;
    event.preventDefault();
    nodes.get(key).setAttribute("tabindex", -1);
    nodes.get(next).setAttribute("tabindex", 0);
    nodes.get(next).focus();
  });
  return {
    counts,
    show: () => lines.forEach((line, kind) => line.classList.toggle("hidden", !isShown(kind, counts[kind]))),
    path: (steps, ends) => {
      const keys = steps.map(([kind, number]) => `${kind}${number}`);
      const pairs = new Set(keys.slice(1).map((key, index) => [keys[index], key].sort().join()));
      doc.mentions.forEach(([, , entity, sentence], mention) => {
        if (!pairs.has([`e${entity}`, `s${sentence}`].join())) return;
        keys.push(`m${mention}`);
        pairs.add([`e${entity}`, `m${mention}`].join()).add([`m${mention}`, `s${sentence}`].join());
      });
      strokes(chosen, edges.filter(([, a, b]) => pairs.has([a, b].sort().join())));
      const on = new Set([...keys, ...ends]);
      drawing.classList.toggle("following", on.size > 0);
      for (const [key, node] of nodes) node.classList.toggle("picked", on.has(key));
      const heights = [...on].filter((key) => at[key]).map((key) => at[key].y);
      if (heights.length) box.scrollTo({ top: Math.min(...heights) - 40 });
    },
  };
}

/** The node that an arrow key moves to: the next in the column, or the nearest in the column beside it. */
function neighbour(at, key, arrow) {
  const columns = ["s", "m", "e"];
  const step = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }[arrow];
  if (!step) return null;
  const kind = columns[columns.indexOf(key[0]) + step[0]];
  const column = Object.keys(at).filter((other) => other[0] === kind).sort((a, b) => at[a].y - at[b].y);
  if (step[1]) return column[column.indexOf(key) + step[1]] ?? null;
  const apart = (other) => Math.abs(at[other].y - at[key].y);
  return column.reduce((best, other) => (best === null || apart(other) < apart(best) ? other : best), null);
}
