/* The page: which document, which threshold, which relation; the list, the table and the reasons. */

const STATUS = {
  right: { symbol: "✓", text: "right", hint: "found, and true" },
  wrong: { symbol: "✗", text: "wrong", hint: "found, but not among the true facts" },
  missed: { symbol: "○", text: "missed", hint: "true, but not found" },
  predicted: { symbol: "●", text: "predicted", hint: "found; what is true is not known" },
  unscored: { symbol: "–", text: "not scored", hint: "the corpus leaves this pair out of the score" },
};
const COLUMNS = [
  { key: "probability", title: "Probability", of: (claim) => claim.probability ?? -1 },
  { key: "head", title: "Head", of: (claim, doc) => doc.entities[claim.head][2].toLowerCase() },
  { key: "relation", title: "Relation", of: (claim) => claim.relation },
  { key: "tail", title: "Tail", of: (claim, doc) => doc.entities[claim.tail][2].toLowerCase() },
  { key: "status", title: "Status", of: (claim) => Object.keys(STATUS).indexOf(statusOf(claim)) },
];

const byId = (id) => document.getElementById(id);
const data = (kind) => [...document.querySelectorAll(`script.${kind}-data`)].map((each) => JSON.parse(each.textContent));
const [page] = data("page");
const thresholds = new Map(page.relations);
const documents = data("document").map((doc) => ({ ...doc, claims: claimsOf(doc) }));
const state = { doc: null, claim: null, threshold: null, sort: "probability", ascending: false };
const shownEdges = EDGES.map(() => null); // null until somebody says
let graph = null;

/** What can be in the table: candidates with their probabilities, and true facts that are none. */
function claimsOf(doc) {
  const key = (head, relation, tail) =>
    [...(page.directed || head < tail ? [head, tail] : [tail, head]), relation].join("\t");
  const left = new Set(doc.ignored.map(([head, tail]) => key(head, "", tail)));
  const gold = doc.gold && new Map(doc.gold.map((fact) => [key(...fact), fact]));
  const seen = new Set();
  const scored = (head, tail) => !left.has(key(head, "", tail));
  const claims = doc.facts.map(([head, relation, tail, probability, reasons, ablation]) => {
    const own = key(head, relation, tail);
    seen.add(own);
    const fact = gold?.get(own);
    return {
      head, relation, tail, probability, ablation,
      reasons: reasons === null ? null : doc.reasons[reasons],
      gold: gold ? Boolean(fact) : null,
      scored: scored(head, tail),
      evidence: fact?.[3] ?? [],
    };
  });
  for (const [own, [head, relation, tail, evidence]] of gold ?? []) {
    if (seen.has(own)) continue;
    claims.push({
      head, relation, tail, evidence, probability: null, ablation: null, reasons: null, gold: true,
      scored: scored(head, tail),
    });
  }
  return claims;
}

const limitOf = (claim) => state.threshold ?? thresholds.get(claim.relation) ?? 1;

/** How a claim stands at the present threshold; null where it is neither found nor true. */
function statusOf(claim) {
  const found = claim.probability !== null && claim.probability > limitOf(claim);
  if (claim.gold === null) return found ? "predicted" : null;
  if (!claim.scored) return found ? "unscored" : null;
  if (claim.gold) return found ? "right" : "missed";
  return found ? "wrong" : null;
}

function tally(docs) {
  const counts = { right: 0, wrong: 0, missed: 0, predicted: 0, unscored: 0 };
  for (const doc of docs) {
    for (const claim of doc.claims) {
      const status = statusOf(claim);
      if (status) counts[status] += 1;
    }
  }
  return counts;
}

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
    const said = some.map(([status, count]) => `${count} ${STATUS[status].text}`).join(", ");
    doc.button.setAttribute("aria-label", `${doc.id}: ${said || "no relations"}`);
  }
}

function findDocuments() {
  const asked = byId("find").value.trim().toLowerCase();
  for (const doc of documents) {
    doc.lower ??= [doc.id, doc.text, ...doc.entities.flat()].join("\n").toLowerCase();
    doc.button.parentNode.hidden = !doc.lower.includes(asked);
  }
  byId("found").textContent = asked ? `${visible().length} of ${documents.length} documents` : plural(documents.length, "document");
  turnable();
}

const visible = () => documents.filter((doc) => !doc.button.parentNode.hidden);

/** The document before or after the present one among those that the list shows. */
function neighbourDocument(step) {
  const here = documents.indexOf(state.doc);
  const others = visible().map((doc) => documents.indexOf(doc));
  return step < 0 ? others.filter((other) => other < here).pop() : others.find((other) => other > here);
}

function turnable() {
  byId("previous").disabled = neighbourDocument(-1) === undefined;
  byId("next").disabled = neighbourDocument(1) === undefined;
}

function openDocument(number) {
  const doc = documents[number];
  state.doc?.button.removeAttribute("aria-current");
  Object.assign(state, { doc, claim: null });
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
  turnable();
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
  const own = limits.length === 0 ? "" : low === high ? three(low) : `${three(low)} to ${three(high)}`;
  const several = low === high ? "model’s threshold" : "model’s thresholds";
  if (value === null) byId("threshold").value = limits.reduce((sum, limit) => sum + limit, 0) / (limits.length || 1);
  const shown = value === null ? own : value.toFixed(2);
  byId("threshold-value").textContent = shown;
  byId("threshold").setAttribute("aria-valuetext", value === null ? `${shown}, the ${several}` : shown);
  byId("reset").textContent = `The ${several}`;
  byId("reset").setAttribute("aria-pressed", String(value === null));
  countList();
  if (state.doc) {
    drawFacts();
    drawReasons();
  }
}

/* Relations */

function drawFacts() {
  const { doc } = state;
  const asked = byId("filter").value.trim().toLowerCase();
  const { value: relation } = byId("relation");
  const { value: status } = byId("status");
  const column = COLUMNS.find((each) => each.key === state.sort);
  const sign = state.ascending ? 1 : -1;
  const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
  const words = (claim) => [claim.head, claim.tail].flatMap((entity) => doc.entities[entity]).join("\n") + `\n${claim.relation}`;
  const found = doc.claims.filter((claim) => statusOf(claim));
  const rows = found
    .filter((claim) => !relation || claim.relation === relation)
    .filter((claim) => !status || statusOf(claim) === status)
    .filter((claim) => words(claim).toLowerCase().includes(asked))
    .sort((a, b) => sign * compare(column.of(a, doc), column.of(b, doc)) || (b.probability ?? -1) - (a.probability ?? -1));
  const body = byId("facts").tBodies[0];
  body.replaceChildren(...rows.map((claim) => factRow(claim)));
  if (!rows.length) {
    const why = found.length ? "No relation is left by the filters." : "No relation is above the threshold.";
    body.append(element("tr", {}, element("td", { colspan: COLUMNS.length, class: "none" }, why)));
  }
  for (const [index, each] of COLUMNS.entries()) {
    const order = each.key === state.sort ? (state.ascending ? "ascending" : "descending") : "none";
    byId("facts").tHead.rows[0].cells[index].setAttribute("aria-sort", order);
  }
  drawCounts(rows.length, found.length);
}

/** A relation's name that may go on in a new line after an underscore. */
function breakable(relation) {
  const parts = relation.split(/(?<=_)/);
  return element("bdi", {}, ...parts.flatMap((each, index) => (index ? [element("wbr"), each] : [each])));
}

function factRow(claim) {
  const { doc } = state;
  const status = statusOf(claim);
  const { symbol, text, hint } = STATUS[status];
  const odds = claim.probability === null ? "no probability" : `probability ${three(claim.probability)}`;
  const label = `${doc.entities[claim.head][2]} ${claim.relation} ${doc.entities[claim.tail][2]}, ${odds}, ${text}`;
  const button = element("button", { type: "button", class: "pick", "aria-label": label, "aria-pressed": String(claim === state.claim) }, breakable(claim.relation));
  const bar = element("span", { class: "bar" });
  bar.style.setProperty("--share", claim.probability ?? 0);
  const row = element(
    "tr",
    { class: claim === state.claim ? "picked" : null, click: () => choose(claim === state.claim ? null : claim) },
    element("td", { class: "number" }, claim.probability === null ? "–" : three(claim.probability), bar),
    element("td", {}, entityName(doc, claim.head)),
    element("td", {}, button),
    element("td", {}, entityName(doc, claim.tail)),
    element("td", { class: `status ${status}`, title: hint }, `${symbol} ${text}`),
  );
  row.claim = claim;
  return row;
}

function drawCounts(shown, all) {
  const known = documents.filter((doc) => doc.gold);
  const counts = tally([state.doc]);
  const some = Object.entries(counts).filter(([status, count]) => count || (state.doc.gold && ["right", "wrong", "missed"].includes(status)));
  const said = some.map(([status, count]) => `${count} ${STATUS[status].text}`).join(", ");
  byId("counts").textContent = `${shown === all ? plural(all, "relation") : `${shown} of ${plural(all, "relation")}`}${said ? `: ${said}` : ""}. ${lowest()}`;
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

/** A word of warning where the slider is below all that the page holds. */
function lowest() {
  const least = documents.reduce((low, doc) => doc.facts.reduce((lower, fact) => Math.min(lower, fact[3]), low), 1);
  const isBelow = state.threshold !== null && state.threshold < least - 0.01;
  return isBelow ? `The page holds nothing below ${three(least)}.` : "";
}

function choose(claim) {
  state.claim = claim;
  for (const row of byId("facts").tBodies[0].rows) {
    row.classList.toggle("picked", claim !== null && row.claim === claim);
    row.querySelector("button")?.setAttribute("aria-pressed", String(claim !== null && row.claim === claim));
  }
  drawReasons();
  byId("said").textContent = claim ? `Reasons for ${byId("reasons-title").textContent} are shown.` : "";
}

/* Reasons */

/** Sentences whose removal lowers the probability by at least half of the largest fall, or removes the pair. */
function importantSentences(ablation) {
  const most = Math.min(0, ...ablation.map(([, , change]) => change ?? 0));
  return new Set(ablation.filter(([, , change]) => change === null || (most < -0.005 && change <= most / 2)).map(([sentence]) => sentence));
}

function drawReasons() {
  const { doc, claim } = state;
  byId("reasons").classList.toggle("empty", !claim);
  if (!claim) {
    byId("reasons-title").textContent = "Reasons";
    byId("why").replaceChildren(element("p", { class: "quiet" }, "Choose a relation to see what speaks for it, in the text, in the graph and here."));
    highlightText(byId("words"), new Map(), new Map(), false);
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
  highlightText(byId("words"), mentions, sentences, true);
  graph.path(path, [`e${claim.head}`, `e${claim.tail}`]);
  const first = byId("words").querySelector(".sentence.path, mark.head");
  if (first) first.closest(".scroll").scrollTo({ top: first.offsetTop - 40 });
  const parts = [standing(claim), ...evidencePart(claim), ...pathPart(path), ...ablationPart(claim, important)];
  if (headWeights || tailWeights) parts.push(...weightsPart(claim, mentions, { headWeights, tailWeights }));
  if (context) parts.push(...contextPart(claim, itself, context));
  byId("why").replaceChildren(...parts);
}

function sentenceOf({ head, relation, tail }) {
  const name = (entity) => named(state.doc.entities[entity][2]);
  return [name(head), " — ", named(relation), " → ", name(tail)];
}

/** A link to a sentence: brings it into view in the text. */
function sentenceButton(number) {
  const show = () => {
    const span = byId("words").querySelector(`[data-sentence="${number}"]`);
    span.scrollIntoView({ block: "nearest" });
    for (const other of byId("words").querySelectorAll(".found")) other.classList.remove("found");
    span.classList.add("found");
  };
  return element("button", { type: "button", class: "link", click: show, title: textOf(number) }, `S${number + 1}`);
}

const textOf = (number) => state.doc.text.slice(...state.doc.sentences[number]).replace(/\s+/g, " ");
const part = (title, hint, ...content) => [element("h3", { title: hint }, title), ...content];

function standing(claim) {
  const status = statusOf(claim) ?? (claim.gold === null ? null : "none");
  const is = STATUS[status] ? `${STATUS[status].symbol} ${STATUS[status].text}` : "below the threshold";
  const odds = claim.probability === null ? "no probability" : `probability ${three(claim.probability)}, threshold ${three(limitOf(claim))}`;
  const none = "The model never asked for this pair, or gave it less than this page holds.";
  const without = claim.probability === null ? none : "The page was made without reasons.";
  return element("p", {}, element("strong", { class: `status ${status}` }, is), ` · ${odds}. `, claim.reasons ? "" : without);
}

function evidencePart(claim) {
  if (!claim.evidence.length) return [];
  return [element("p", {}, "Evidence that the corpus gives: ", ...claim.evidence.flatMap((number) => [sentenceButton(number), " "]))];
}

function pathPart(path) {
  if (!path.length) return [];
  const steps = path.map(([kind, number], index) => {
    const words = path[index - 1]?.[0] === "s" && kind === "s" ? "far:" : "";
    if (kind === "s") return element("li", { class: words && "far" }, sentenceButton(number));
    return element("li", {}, entityName(state.doc, number));
  });
  return part("How the text joins them", "The shortest way through entities and the sentences that mention them", element("ol", { class: "path" }, ...steps));
}

function ablationPart(claim, important) {
  const title = "Sentence ablation";
  if (!claim.ablation) {
    const why = claim.reasons ? [element("p", { class: "quiet" }, "Not measured: the model does not hold this to be a fact.")] : [];
    return why.length ? part(title, "", ...why) : [];
  }
  const most = Math.max(0.001, ...claim.ablation.map(([, , change]) => Math.abs(change ?? 0)));
  const rows = claim.ablation.map(([sentence, probability, change]) => {
    const bar = element("span", { class: change > 0 ? "swing up" : "swing" });
    bar.style.setProperty("--share", change === null ? 0 : Math.abs(change) / most);
    const said = change === null ? "no pair without it" : signed(change);
    return element(
      "tr",
      { class: important.has(sentence) ? "important" : null },
      element("td", {}, sentenceButton(sentence)),
      element("td", { class: "swings" }, element("span", { class: "track" }, bar)),
      element("td", { class: "number" }, said),
      element("td", { class: "number" }, probability === null ? "–" : three(probability)),
      element("td", { class: "cut", dir: "auto" }, textOf(sentence)),
    );
  });
  const titles = ["", "", "Change", "Left", "Sentence"].map((each) => element("th", { scope: "col" }, each));
  const head = element("thead", {}, element("tr", {}, ...titles));
  return part(
    title,
    "The model was asked again without each sentence",
    element("p", { class: "quiet" }, "Change of the probability when the sentence is left out, as measured, and what is left of it."),
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
  return part("Mentions the model looked at", "Weights of the local attention; they sum to 100 % on each side", element("div", { class: "side-by-side" }, ...tables));
}

function contextPart(claim, itself, context) {
  const rows = [weightRow(["this pair itself"], itself, "")];
  for (const [head, tail, weight] of context) {
    rows.push(weightRow([named(state.doc.entities[head][2]), " – ", named(state.doc.entities[tail][2])], weight, ""));
  }
  const rest = 1 - itself - context.reduce((sum, [, , weight]) => sum + weight, 0);
  if (rest > 0.0005) rows.push(weightRow(["all other pairs"], rest, ""));
  return part("Pairs the model drew on", "Weights of the context attention; they sum to 100 %", element("table", {}, element("tbody", {}, ...rows)));
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

/* Wiring */

function arrowsMove(box, selector) {
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
  byId("relation").replaceChildren(element("option", { value: "" }, "all"), ...names.map((name) => element("option", { value: name }, name)));
  const isKnown = documents.some((doc) => doc.gold);
  byId("status").parentNode.hidden = !isKnown;
  const kinds = Object.entries(STATUS).filter(([status]) => isKnown || status === "predicted");
  byId("status").replaceChildren(element("option", { value: "" }, "all"), ...kinds.map(([status, { symbol, text }]) => element("option", { value: status }, `${symbol} ${text}`)));
  for (const id of ["filter", "relation", "status"]) byId(id).addEventListener("input", drawFacts);
  byId("find").addEventListener("input", findDocuments);
  byId("threshold").addEventListener("input", () => setThreshold(Number(byId("threshold").value)));
  byId("reset").addEventListener("click", () => setThreshold(null));
  byId("previous").addEventListener("click", () => openDocument(neighbourDocument(-1)));
  byId("next").addEventListener("click", () => openDocument(neighbourDocument(1)));
  byId("words").addEventListener("click", (event) => {
    const mark = event.target.closest("mark");
    if (mark) filterBy(state.doc.entities[Number(mark.dataset.entity)][2]);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && state.claim && event.target.type !== "search") choose(null);
  });
  arrowsMove(byId("documents"), "button");
  arrowsMove(byId("facts"), "button.pick");
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
  else byId("main").replaceChildren(element("p", { class: "none" }, "There are no documents in this page."));
}

start();
