/* State and controls of the page: list of documents, threshold, table of relations, reasons. */

const STATUS = {
  right: { symbol: "✓", text: "right", hint: "predicted, and true" },
  wrong: { symbol: "✗", text: "wrong", hint: "predicted, but not among the true facts" },
  missed: { symbol: "○", text: "missed", hint: "true, but not predicted" },
  predicted: { symbol: "●", text: "predicted", hint: "predicted; the true facts are unknown" },
  candidate: { symbol: "◌", text: "candidate", hint: "below the threshold that the page was made with" },
  unscored: { symbol: "–", text: "not scored", hint: "the corpus excludes this pair from the score" },
};
const COLUMNS = [
  { key: "probability", title: "Probability", value: (claim) => claim.probability ?? -1 },
  { key: "head", title: "Head", value: (claim, doc) => doc.entities[claim.head][2].toLowerCase() },
  { key: "relation", title: "Relation", value: (claim) => wordsOf(claim.relation) },
  { key: "tail", title: "Tail", value: (claim, doc) => doc.entities[claim.tail][2].toLowerCase() },
  { key: "status", title: "Status", value: (claim) => Object.keys(STATUS).indexOf(statusOf(claim)) },
];

const byId = (id) => document.getElementById(id);
const data = (kind) => [...document.querySelectorAll(`script.${kind}-data`)].map((each) => JSON.parse(each.textContent));
const [page] = data("page");
const thresholds = new Map(page.relations);
const documents = data("document").map((doc) => ({ ...doc, claims: claimsOf(doc) }));
const codes = typeCodes([...new Set(documents.flatMap((doc) => doc.entities.map(([, type]) => type)))].filter(Boolean).sort());
const state = { doc: null, claim: null, threshold: null, sort: "probability", ascending: false };
const shownEdges = EDGES.map(() => null); // null until the user decides
let graph = null;

/** Rows that the table may show: candidates with probabilities, and true facts that are not candidates. */
function claimsOf(doc) {
  const key = (head, relation, tail) =>
    [...(page.directed || head < tail ? [head, tail] : [tail, head]), relation].join("\t");
  const ignored = new Set(doc.ignored.map(([head, tail]) => key(head, "", tail)));
  const gold = doc.gold && new Map(doc.gold.map((fact) => [key(...fact), fact]));
  const seen = new Set();
  const scored = (head, tail) => !ignored.has(key(head, "", tail));
  const claims = doc.facts.map(([head, relation, tail, probability, reasons, ablation]) => {
    const triple = key(head, relation, tail);
    seen.add(triple);
    const fact = gold?.get(triple);
    return {
      head, relation, tail, probability, ablation,
      reasons: reasons === null ? null : doc.reasons[reasons],
      gold: gold ? Boolean(fact) : null,
      scored: scored(head, tail),
      evidence: fact?.[3] ?? [],
    };
  });
  for (const [triple, [head, relation, tail, evidence]] of gold ?? []) {
    if (seen.has(triple)) continue;
    claims.push({
      head, relation, tail, evidence, probability: null, ablation: null, reasons: null, gold: true,
      scored: scored(head, tail),
    });
  }
  return claims;
}

const ownLimitOf = (claim) => thresholds.get(claim.relation) ?? 1;
const limitOf = (claim) => state.threshold ?? thresholds.get(claim.relation) ?? 1;

/** Status of a claim at the current threshold; null if it is neither predicted nor true. */
function statusOf(claim) {
  const predicted = claim.probability !== null && claim.probability > limitOf(claim);
  if (claim.gold === null) return !predicted ? null : claim.probability > ownLimitOf(claim) ? "predicted" : "candidate";
  if (!claim.scored) return predicted ? "unscored" : null;
  if (claim.gold) return predicted ? "right" : "missed";
  return predicted ? "wrong" : null;
}

function tally(docs) {
  const counts = { right: 0, wrong: 0, missed: 0, predicted: 0, candidate: 0, unscored: 0 };
  for (const doc of docs) {
    for (const claim of doc.claims) {
      const status = statusOf(claim);
      if (status) counts[status] += 1;
    }
  }
  return counts;
}

/** Name of a relation in words. */
const wordsOf = (relation) => page.words[relation] ?? relation.replaceAll("_", " ");
const share = (part, whole) => (whole ? ((100 * part) / whole).toFixed(1) : "–");
const three = (value) => value.toFixed(3);
const signed = (value) => (Math.abs(value) < 0.0005 ? "" : value < 0 ? "−" : "+") + Math.abs(value).toFixed(3);
const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;

/* Documents */

function drawList() {
  const items = documents.map((doc, number) => {
    const counts = element("span", { class: "counts" });
    const words = element("span", { class: "words", dir: "auto" }, doc.text.slice(0, 70));
    const button = element("button", { type: "button", click: () => openDocument(number) }, named(doc.id), counts, words);
    doc.button = button;
    doc.counts = counts;
    return element("li", {}, button);
  });
  byId("documents").replaceChildren(...items);
}

function countList() {
  for (const doc of documents) {
    const some = Object.entries(tally([doc])).filter(([, count]) => count);
    doc.counts.replaceChildren(
      ...some.map(([status, count]) => element("span", { class: status, title: STATUS[status].text }, `${count}${STATUS[status].symbol}`)),
    );
    const summary = some.map(([status, count]) => `${count} ${STATUS[status].text}`).join(", ");
    doc.button.setAttribute("aria-label", `${doc.id}: ${summary || "no relations"}`);
  }
}

function findDocuments() {
  const query = byId("find").value.trim().toLowerCase();
  for (const doc of documents) {
    doc.lower ??= [doc.id, doc.text, ...doc.entities.flat()].join("\n").toLowerCase();
    doc.button.parentNode.hidden = !doc.lower.includes(query);
  }
  byId("matches").textContent = query ? `${visible().length} of ${documents.length} documents` : plural(documents.length, "document");
  updateTurning();
}

const visible = () => documents.filter((doc) => !doc.button.parentNode.hidden);

/** The document before or after the current one in the list. */
function neighbourDocument(step) {
  const here = documents.indexOf(state.doc);
  const others = visible().map((doc) => documents.indexOf(doc));
  return step < 0 ? others.filter((other) => other < here).pop() : others.find((other) => other > here);
}

function updateTurning() {
  byId("previous").disabled = neighbourDocument(-1) === undefined;
  byId("next").disabled = neighbourDocument(1) === undefined;
}

function openDocument(number) {
  const doc = documents[number];
  state.doc?.button.removeAttribute("aria-current");
  Object.assign(state, { doc, claim: strongest(doc) });
  doc.button.setAttribute("aria-current", "true");
  const [list, row] = [byId("documents"), doc.button.parentNode];
  const [above, below] = [row.offsetTop, row.offsetTop + row.offsetHeight - list.clientHeight];
  list.scrollTop = Math.min(Math.max(list.scrollTop, below), above);
  byId("text-title").replaceChildren("Document ", named(doc.id));
  drawText(byId("words"), doc);
  byId("entities-title").textContent = `Entities (${doc.entities.length})`;
  drawEntities(byId("entities"), doc, filterBy);
  byId("filter").value = "";
  for (const box of document.querySelectorAll("main .scroll")) box.scrollTo({ top: 0 });
  redrawGraph();
  drawFacts();
  drawReasons();
  updateTurning();
}

/** The claim with the highest probability among those that are shown; null if there is none. */
function strongest(doc) {
  const shown = doc.claims.filter((claim) => claim.probability !== null && statusOf(claim));
  return shown.reduce((best, claim) => (best === null || claim.probability > best.probability ? claim : best), null);
}

function filterBy(name) {
  byId("filter").value = byId("filter").value === name ? "" : name;
  drawFacts();
}

/* Threshold */

function setThreshold(value) {
  state.threshold = value;
  const limits = [...thresholds.values()];
  const [low, high] = [Math.min(...limits), Math.max(...limits)];
  const range = limits.length === 0 ? "" : low === high ? three(low) : `${three(low)} to ${three(high)}`;
  const name = low === high ? "model’s threshold" : "model’s thresholds";
  if (value === null) byId("threshold").value = limits.reduce((sum, limit) => sum + limit, 0) / (limits.length || 1);
  const shown = value === null ? range : value.toFixed(2);
  byId("threshold-value").textContent = shown;
  byId("threshold").setAttribute("aria-valuetext", value === null ? `${shown}, the ${name}` : shown);
  byId("reset").textContent = `The ${name}`;
  byId("reset").setAttribute("aria-pressed", String(value === null));
  countList();
  if (state.doc) {
    drawFacts();
    drawReasons();
  }
}

/* Relations */

/** Claims of a document that the filters leave, in the order of the table, and all that the threshold leaves. */
function listed(doc) {
  const query = byId("filter").value.trim().toLowerCase();
  const { value: relation } = byId("relation");
  const { value: status } = byId("status");
  const column = COLUMNS.find((each) => each.key === state.sort);
  const sign = state.ascending ? 1 : -1;
  const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
  const words = (claim) => [claim.head, claim.tail].flatMap((entity) => doc.entities[entity]).join("\n") + `\n${claim.relation}\n${wordsOf(claim.relation)}`;
  const all = doc.claims.filter((claim) => statusOf(claim));
  const rows = all
    .filter((claim) => !relation || claim.relation === relation)
    .filter((claim) => !status || statusOf(claim) === status)
    .filter((claim) => words(claim).toLowerCase().includes(query))
    .sort((a, b) => sign * compare(column.value(a, doc), column.value(b, doc)) || (b.probability ?? -1) - (a.probability ?? -1));
  return [rows, all];
}

function drawFacts() {
  const [rows, all] = listed(state.doc);
  if (state.claim && !rows.includes(state.claim)) {
    state.claim = rows[0] ?? null;
    drawReasons();
  }
  const body = byId("facts").tBodies[0];
  body.replaceChildren(...rows.map((claim) => factRow(claim)));
  if (!rows.length) {
    const why = all.length ? "No relation matches the filters." : "No relation is above the threshold.";
    body.append(element("tr", {}, element("td", { colspan: COLUMNS.length, class: "none" }, why)));
  }
  for (const [index, each] of COLUMNS.entries()) {
    const order = each.key === state.sort ? (state.ascending ? "ascending" : "descending") : "none";
    byId("facts").tHead.rows[0].cells[index].setAttribute("aria-sort", order);
  }
  drawCounts(rows.length, all.length);
}

/* Copies: rows of text, for spreadsheets */

const TITLES = ["document", "head", "head_id", "relation", "relation_name", "tail", "tail_id", "probability", "status"];

function rowsOf(doc) {
  const ends = (entity) => [doc.entities[entity][2], doc.entities[entity][0]];
  return listed(doc)[0].map((claim) => [
    doc.id, ...ends(claim.head), claim.relation, wordsOf(claim.relation), ...ends(claim.tail),
    claim.probability === null ? "" : three(claim.probability), STATUS[statusOf(claim)].text,
  ]);
}

/** A cell that no spreadsheet takes for a formula. */
const harmless = (cell) => (/^[=+\-@\t\r]/.test(cell) ? `'${cell}` : cell);

async function copyRows() {
  const cells = [TITLES, ...rowsOf(state.doc)].map((row) => row.map((cell) => harmless(cell.replace(/\s+/g, " "))));
  try {
    await navigator.clipboard.writeText(cells.map((row) => row.join("\t")).join("\n"));
    byId("announcement").textContent = byId("copy").textContent = "Copied";
  } catch {
    byId("announcement").textContent = byId("copy").textContent = "Not allowed";
  }
  setTimeout(() => (byId("copy").textContent = "Copy"), 2000);
}

function saveRows() {
  const quoted = (cell) => `"${harmless(cell).replaceAll('"', '""')}"`;
  const lines = [TITLES, ...documents.flatMap(rowsOf)].map((row) => `${row.map(quoted).join(",")}\r\n`);
  const link = element("a", { href: URL.createObjectURL(new Blob(["\ufeff", ...lines], { type: "text/csv" })), download: "relations.csv" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function factRow(claim) {
  const { doc } = state;
  const status = statusOf(claim);
  const { symbol, text, hint } = STATUS[status];
  const probability = claim.probability === null ? "no probability" : `probability ${three(claim.probability)}`;
  const label = `${doc.entities[claim.head][2]} ${wordsOf(claim.relation)} ${doc.entities[claim.tail][2]}, ${probability}, ${text}`;
  const button = element("button", { type: "button", class: "pick", title: claim.relation, "aria-label": label, "aria-pressed": String(claim === state.claim) }, named(wordsOf(claim.relation)));
  const bar = element("span", { class: "bar" });
  bar.style.setProperty("--share", claim.probability ?? 0);
  const row = element(
    "tr",
    { class: [claim === state.claim ? "picked" : "", status].join(" ").trim(), click: () => choose(claim === state.claim ? null : claim) },
    element("td", { class: "number" }, claim.probability === null ? "–" : three(claim.probability), bar),
    element("td", {}, entityName(doc, claim.head)),
    element("td", {}, button),
    element("td", {}, entityName(doc, claim.tail)),
    element("td", { class: `status ${status}`, title: hint }, symbol, element("span", { class: "word" }, ` ${text}`)),
  );
  row.claim = claim;
  return row;
}

function drawCounts(shown, all) {
  const known = documents.filter((doc) => doc.gold);
  const counts = tally([state.doc]);
  const some = Object.entries(counts).filter(([status, count]) => count || (state.doc.gold && ["right", "wrong", "missed"].includes(status)));
  const summary = some.map(([status, count]) => `${count} ${STATUS[status].text}`).join(", ");
  byId("counts").textContent = `${shown === all ? plural(all, "relation") : `${shown} of ${plural(all, "relation")}`}${summary ? `: ${summary}` : ""}. ${thresholdWarning()}`;
  const line = (title, { right, wrong, missed }) => {
    const scores = [share(right, right + wrong), share(right, right + missed), share(2 * right, 2 * right + wrong + missed)];
    return element("tr", {}, element("th", { scope: "row" }, title), ...[right, wrong, missed, ...scores].map((cell) => element("td", {}, String(cell))));
  };
  const titles = ["At this threshold", "✓ right", "✗ wrong", "○ missed", "Precision %", "Recall %", "F1 %"];
  const head = element("tr", {}, ...titles.map((title) => element("th", { scope: "col" }, title)));
  const lines = [];
  if (state.doc.gold) lines.push(line("This document", counts));
  if (known.length > 1) {
    const which = known.length === documents.length ? `All ${known.length} documents` : `${known.length} documents with known facts`;
    lines.push(line(which, tally(known)));
  }
  byId("scores").replaceChildren(...(lines.length ? [element("table", {}, element("thead", {}, head), element("tbody", {}, ...lines))] : []));
}

/** Warning if the threshold is below all candidates of the page. */
function thresholdWarning() {
  const lowest = documents.reduce((low, doc) => doc.facts.reduce((lower, fact) => Math.min(lower, fact[3]), low), 1);
  const isBelow = state.threshold !== null && state.threshold < lowest - 0.01;
  return isBelow ? `This page has no candidates below ${three(lowest)}.` : "";
}

function choose(claim) {
  state.claim = claim;
  for (const row of byId("facts").tBodies[0].rows) {
    row.classList.toggle("picked", claim !== null && row.claim === claim);
    row.querySelector("button")?.setAttribute("aria-pressed", String(claim !== null && row.claim === claim));
  }
  drawReasons();
  byId("announcement").textContent = claim ? `Reasons for ${byId("reasons-title").textContent} are shown.` : "";
}

/* Reasons */

/** Sentences whose removal lowers the probability by at least half of the largest fall, or removes the pair. */
function importantSentences(ablation) {
  const largestFall = Math.min(0, ...ablation.map(([, , change]) => change ?? 0));
  return new Set(ablation.filter(([, , change]) => change === null || (largestFall < -0.005 && change <= largestFall / 2)).map(([sentence]) => sentence));
}

function drawReasons() {
  const { doc, claim } = state;
  byId("reasons").classList.toggle("empty", !claim);
  if (!claim) {
    byId("reasons-title").textContent = "Reasons";
    byId("why").replaceChildren(element("p", { class: "quiet" }, "Select a relation to see its reasons in the text, in the graph and here."));
    highlightText(byId("words"), doc, new Map(), new Map(), false);
    graph.path([], []);
    return;
  }
  const [path, headWeights, tailWeights, itself, context] = claim.reasons ?? [[], null, null, null, null];
  byId("reasons-title").replaceChildren(...sentenceOf(claim));
  const mentions = new Map();
  const bridges = new Set(path.slice(1, -1).filter(([kind]) => kind === "e").map(([, entity]) => entity));
  const seen = new Map();
  doc.mentions.forEach(([, , entity], mention) => {
    const rank = seen.get(entity) ?? 0;
    seen.set(entity, rank + 1);
    if (entity === claim.head) mentions.set(mention, { side: "head", weight: headWeights?.[rank] });
    else if (entity === claim.tail) mentions.set(mention, { side: "tail", weight: tailWeights?.[rank] });
    else if (bridges.has(entity)) mentions.set(mention, { side: "via" });
  });
  const important = importantSentences(claim.ablation ?? []);
  const sentences = new Map(doc.sentences.map((_, number) => [number, { important: important.has(number) }]));
  for (const [sentence, , change] of claim.ablation ?? []) sentences.get(sentence).label = change === null ? "no pair without it" : signed(change);
  for (const [kind, number] of path) if (kind === "s") sentences.get(number).path = true;
  highlightText(byId("words"), doc, mentions, sentences, true);
  graph.path(path, [`e${claim.head}`, `e${claim.tail}`]);
  const first = byId("words").querySelector(".sentence.path, mark.head");
  if (first) first.closest(".scroll").scrollTo({ top: first.offsetTop - 40 });
  const parts = [statusPart(claim), marksPart(claim, headWeights || tailWeights), ...evidencePart(claim), ...pathPart(path), ...ablationPart(claim, important)];
  if (headWeights || tailWeights) parts.push(...weightsPart(claim, mentions, { headWeights, tailWeights }));
  if (context) parts.push(...contextPart(claim, itself, context));
  byId("why").replaceChildren(...parts);
}

function sentenceOf({ head, relation, tail }) {
  const name = (entity) => named(state.doc.entities[entity][2]);
  return [name(head), " — ", named(wordsOf(relation)), " → ", name(tail)];
}

/** Link that scrolls the text to a sentence. */
function sentenceButton(number) {
  const show = () => {
    const span = byId("words").querySelector(`[data-sentence="${number}"]`);
    span.scrollIntoView({ block: "nearest" });
    for (const other of byId("words").querySelectorAll(".shown")) other.classList.remove("shown");
    span.classList.add("shown");
  };
  return element("button", { type: "button", class: "link", click: show, title: textOf(number) }, `S${number + 1}`);
}

const textOf = (number) => state.doc.text.slice(...state.doc.sentences[number]).replace(/\s+/g, " ");
const section = (title, hint, ...content) => [element("h3", { title: hint }, title), ...content];

function statusPart(claim) {
  const status = statusOf(claim) ?? (claim.gold === null ? null : "none");
  const name = STATUS[status] ? `${STATUS[status].symbol} ${STATUS[status].text}` : "below the threshold";
  const probability = claim.probability === null ? "no probability" : `probability ${three(claim.probability)}, threshold ${three(limitOf(claim))}`;
  const missing = claim.probability === null
    ? "The pair is not a candidate, or its probability is below those on this page."
    : "This page was written without reasons.";
  return element("p", {}, element("strong", { class: `status ${status}` }, name), ` · ${probability}. `, claim.reasons ? "" : missing);
}

/** What the marks in the text mean while a relation is selected. */
function marksPart(claim, weights) {
  const percent = weights ? ", with their share of attention" : "";
  const change = claim.ablation ? "; −0.123, the change in probability without the sentence; filled, of those that matter most" : "";
  const text = `In the text: H and T, mentions of head and tail${percent}; path and via, the connecting path below${change}.`;
  return element("p", { class: "quiet" }, text);
}

function evidencePart(claim) {
  if (!claim.evidence.length) return [];
  return [element("p", {}, "Evidence in the corpus: ", ...claim.evidence.flatMap((number) => [sentenceButton(number), " "]))];
}

function pathPart(path) {
  if (!path.length) return [];
  const steps = path.map(([kind, number], index) => {
    const words = path[index - 1]?.[0] === "s" && kind === "s" ? "far:" : "";
    if (kind === "s") return element("li", { class: words && "far" }, sentenceButton(number));
    return element("li", {}, entityName(state.doc, number));
  });
  return section("Connecting path", "Shortest path through entities and the sentences that mention them", element("ol", { class: "path" }, ...steps));
}

function ablationPart(claim, important) {
  const title = "Sentence ablation";
  if (!claim.ablation) {
    const why = claim.reasons ? [element("p", { class: "quiet" }, "Not measured: the relation is below the threshold, or the document has too many sentences.")] : [];
    return why.length ? section(title, "", ...why) : [];
  }
  const largest = Math.max(0.001, ...claim.ablation.map(([, , change]) => Math.abs(change ?? 0)));
  const rows = claim.ablation.map(([sentence, probability, change]) => {
    const bar = element("span", { class: change > 0 ? "swing up" : "swing" });
    bar.style.setProperty("--share", change === null ? 0 : Math.abs(change) / largest);
    const effect = change === null ? "no pair without it" : signed(change);
    return element(
      "tr",
      { class: important.has(sentence) ? "important" : null },
      element("td", {}, sentenceButton(sentence)),
      element("td", { class: "swings" }, element("span", { class: "track" }, bar)),
      element("td", { class: "number" }, effect),
      element("td", { class: "number" }, probability === null ? "–" : three(probability)),
      element("td", { class: "cut", dir: "auto" }, textOf(sentence)),
    );
  });
  const titles = ["", "", "Change", "Without", "Sentence"].map((each) => element("th", { scope: "col" }, each));
  const head = element("thead", {}, element("tr", {}, ...titles));
  return section(
    title,
    "The model predicts the document again without each sentence",
    element("p", { class: "quiet" }, "Change in probability when the sentence is removed, and the probability without it."),
    element("table", { class: "ablation" }, head, element("tbody", {}, ...rows)),
  );
}

function weightRow(name, weight, where) {
  const bar = element("span", { class: "bar" });
  bar.style.setProperty("--share", weight);
  return element("tr", {}, element("td", {}, ...name), element("td", {}, where), element("td", { class: "number" }, `${(weight * 100).toFixed(1)} %`, bar));
}

function weightsPart(claim, mentions, weights) {
  const tables = ["head", "tail"].filter((side) => weights[`${side}Weights`]).map((side) => {
    const rows = [...mentions].filter(([, each]) => each.side === side).map(([mention, { weight }]) =>
      weightRow([named(mentionName(state.doc, mention))], weight ?? 0, sentenceButton(state.doc.mentions[mention][3])),
    );
    return element("table", {}, element("caption", {}, `Mentions of the ${side}`), element("tbody", {}, ...rows));
  });
  return section("Mention attention", "Weights of the local layer; they sum to 100 % for each entity", element("div", { class: "side-by-side" }, ...tables));
}

function contextPart(claim, itself, context) {
  const rows = [weightRow(["this pair itself"], itself, "")];
  for (const [head, tail, weight] of context) {
    rows.push(weightRow([named(state.doc.entities[head][2]), " – ", named(state.doc.entities[tail][2])], weight, ""));
  }
  const rest = 1 - itself - context.reduce((sum, [, , weight]) => sum + weight, 0);
  if (rest > 0.0005) rows.push(weightRow(["all other pairs"], rest, ""));
  return section("Context attention", "Weights of the context layer; they sum to 100 %", element("table", {}, element("tbody", {}, ...rows)));
}

/* Graph */

const isShown = (kind, count) => shownEdges[kind] ?? count <= MANY;

function redrawGraph() {
  const { doc } = state;
  graph = drawGraph(byId("drawing"), doc, isShown);
  graph.show();
  const nodes = Object.entries(KINDS).map(([kind, name]) => {
    const sample = svg("svg", { width: 18, height: 18, viewBox: "-9 -9 18 18", "aria-hidden": "true" }, svg("g", { class: `node ${name}` }, shape(kind)));
    return element("span", { class: "key" }, sample, name);
  });
  const edges = EDGES.map(({ name, look, text }, kind) => {
    const box = element("input", { type: "checkbox", "data-edge": name });
    box.checked = isShown(kind, graph.counts[kind]);
    box.addEventListener("change", () => {
      shownEdges[kind] = box.checked;
      graph.show();
    });
    const sample = svg("svg", { width: 24, height: 10, "aria-hidden": "true" }, svg("path", { class: `edge ${look}`, d: "M1 5L23 5" }));
    return element("label", { class: "key" }, box, sample, `${text} (${graph.counts[kind]})`);
  });
  const group = element("fieldset", {}, element("legend", { class: "unseen" }, "Edges to show"), ...edges);
  byId("legend").replaceChildren(element("div", { class: "nodes" }, ...nodes), group);
}

/* Events */

function moveWithArrows(box, selector) {
  box.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const all = [...box.querySelectorAll(selector)].filter((each) => each.offsetParent);
    const next = step && all[all.indexOf(event.target) + step];
    if (!next || !all.includes(event.target)) return;
    event.preventDefault();
    next.focus();
  });
}

function start() {
  byId("model").textContent = page.model;
  byId("about").textContent = page.about.join(" ");
  byId("types").replaceChildren(...[...codes].map(([type, code]) => element("span", { class: "key" }, element("b", {}, code), named(type))));
  byId("fold").addEventListener("click", () => {
    const isOpen = byId("main").classList.toggle("folded") === false;
    byId("fold").setAttribute("aria-expanded", String(isOpen));
    byId("folding").hidden = !isOpen;
  });
  byId("facts").tHead.rows[0].replaceChildren(
    ...COLUMNS.map(({ key, title }) => {
      const sort = () => {
        state.ascending = state.sort === key ? !state.ascending : key !== "probability";
        state.sort = key;
        drawFacts();
      };
      return element("th", { scope: "col", class: key === "probability" ? "number" : null }, element("button", { type: "button", click: sort }, title));
    }),
  );
  const used = new Set(documents.flatMap((doc) => doc.claims.map((claim) => claim.relation)));
  const names = [...thresholds.keys(), ...[...used].filter((name) => !thresholds.has(name)).sort()].filter((name) => used.has(name));
  byId("relation").replaceChildren(element("option", { value: "" }, "all"), ...names.map((name) => element("option", { value: name }, wordsOf(name))));
  byId("relation").parentNode.hidden = names.length < 2;
  const hasGold = documents.some((doc) => doc.gold);
  byId("status").parentNode.hidden = !hasGold;
  const kinds = Object.entries(STATUS).filter(([status]) => hasGold || status === "predicted" || status === "candidate");
  byId("status").replaceChildren(element("option", { value: "" }, "all"), ...kinds.map(([status, { symbol, text }]) => element("option", { value: status }, `${symbol} ${text}`)));
  for (const id of ["filter", "relation", "status"]) byId(id).addEventListener("input", drawFacts);
  byId("find").addEventListener("input", findDocuments);
  byId("threshold").addEventListener("input", () => setThreshold(Number(byId("threshold").value)));
  byId("reset").addEventListener("click", () => setThreshold(null));
  byId("copy").addEventListener("click", copyRows);
  byId("csv").addEventListener("click", saveRows);
  byId("previous").addEventListener("click", () => openDocument(neighbourDocument(-1)));
  byId("next").addEventListener("click", () => openDocument(neighbourDocument(1)));
  byId("words").addEventListener("click", (event) => {
    const mark = event.target.closest("mark");
    if (mark) filterBy(state.doc.entities[Number(mark.dataset.entity)][2]);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && state.claim && event.target.type !== "search") choose(null);
  });
  moveWithArrows(byId("documents"), "button");
  moveWithArrows(byId("facts"), "button.pick");
  let width = 0;
  new ResizeObserver(() => {
    if (!state.doc || byId("drawing").clientWidth === width) return;
    width = byId("drawing").clientWidth;
    redrawGraph();
    drawReasons();
  }).observe(byId("drawing"));
  drawList();
  setThreshold(null);
  findDocuments();
  if (documents.length) openDocument(0);
  else byId("main").replaceChildren(element("p", { class: "none" }, "This page has no documents."));
}

start();
