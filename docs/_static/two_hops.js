/* Two facts, two edits, one question: drag what a merge leaves of each edit, see which city wins.

Put `<div class="two-hops">a still picture</div>` into a page and load this file after it. It needs
no other file and no network; with scripts off the still picture stays. The formulas are those of
thm:two-read-region; tests/docs/test_two_hops.py holds them to the Python theorem. */
"use strict";

const TOP = 1.2; // the plane shows coefficients from 0 to this
const KNOWN = {
  overwrite: "Ada at Lab 1, in Rome; Lab 2 in Bern",
  "overwrite both": "the same, and the second edit also moves Lab 1, to Paris",
  "new subject": "Lab 2 in Bern; nothing about Ada",
  "new facts": "nothing of all this",
};

/** What each city scores when asked where Ada works: reads are linear, so paths multiply. */
function scores(known, first, second) {
  const found = { Oslo: first * second };
  if (known !== "new facts") found.Bern = first * (1 - second);
  if (known === "overwrite") found.Rome = 1 - first;
  if (known === "overwrite both") {
    found.Rome = (1 - first) * (1 - second);
    found.Paris = (1 - first) * second;
  }
  return { ...found, elsewhere: 0 };
}

/** The same for the two facts alone. */
function facts(known, first, second) {
  const lab = known.startsWith("overwrite") ? { "Lab 1": 1 - first } : {};
  const city = known === "new facts" ? {} : { Bern: 1 - second };
  return [{ "Lab 2": first, ...lab, elsewhere: 0 }, { Oslo: second, ...city, elsewhere: 0 }];
}

/** By how much the first entry leads the best other one. */
function margin(found) {
  const [target, ...others] = Object.values(found);
  return target - Math.max(...others);
}

/** The least second coefficient at which Oslo wins, by bisection; above TOP if none does. */
function edge(known, first) {
  const wins = (second) => margin(scores(known, first, second)) > 0;
  if (!wins(TOP)) return Infinity;
  let [low, high] = [0, TOP];
  while (high - low > 1e-9) {
    const middle = (low + high) / 2;
    if (wins(middle)) high = middle;
    else low = middle;
  }
  return high;
}

/** One sentence on what is right and who wins. */
function verdict(known, first, second) {
  const asked = scores(known, first, second);
  const right = facts(known, first, second).map((found) => margin(found) > 0);
  const alone = right.every(Boolean)
    ? "Both facts are right when asked alone"
    : right.some(Boolean)
      ? `Of the two facts only ${right[0] ? "Ada’s lab" : "the city of Lab 2"} is right`
      : "Neither fact is right";
  const lead = margin(asked);
  if (lead > 1e-9) return `${alone}. Ada’s city: Oslo, right, ahead by ${lead.toFixed(2)}.`;
  const best = Math.max(...Object.values(asked));
  const winners = Object.keys(asked).filter((city) => asked[city] > best - 1e-9);
  if (winners.length > 1) return `${alone}. Ada’s city: a tie of ${winners.join(" and ")}.`;
  const winner = winners[0] === "elsewhere" ? "a city on no path" : winners[0];
  return `${alone}. Ada’s city: ${winner}, wrong, ahead by ${(-lead).toFixed(2)}.`;
}

const STYLE = `
.two-hops { --won: #0072b2; --lost: #d55e00; display: grid; gap: .6em 1.6em; margin: 1em 0;
  grid-template-columns: minmax(0, 23em) minmax(0, 1fr); font-size: .9em; }
@media (max-width: 44em) { .two-hops { grid-template-columns: minmax(0, 1fr); } }
body[data-theme="dark"] .two-hops { --won: #56b4e9; --lost: #e69f00; }
@media (prefers-color-scheme: dark) {
  body:not([data-theme="light"]) .two-hops { --won: #56b4e9; --lost: #e69f00; } }
.two-hops p { grid-column: 1 / -1; margin: 0 0 .4em; }
.two-hops svg { width: 100%; touch-action: none; cursor: crosshair; }
.two-hops svg text { font-size: 13px; fill: currentColor; }
.two-hops fieldset { border: 0; margin: 0; padding: 0; }
.two-hops fieldset label, .two-hops .slide { display: flex; gap: .5em; align-items: baseline; }
.two-hops input[type="range"] { flex: 1; min-width: 6em; accent-color: var(--won); align-self: center; }
.two-hops table { width: 100%; border-collapse: collapse; margin: .5em 0 0; }
.two-hops caption, .two-hops legend { text-align: left; font-weight: 600; padding: 0; }
.two-hops th { width: 5.2em; font-weight: normal; text-align: left; }
.two-hops td:last-child { width: 3.4em; text-align: right; font-variant-numeric: tabular-nums; }
.two-hops td i { display: block; height: .8em; min-width: 1px; background: currentColor; opacity: .35; }
.two-hops tr.best th { font-weight: 600; }
.two-hops tr.best i { background: var(--lost); opacity: 1; }
.two-hops tr.best.right i { background: var(--won); }
.two-hops button { font: inherit; color: inherit; background: none; border: 1px solid currentColor;
  border-radius: 4px; padding: .1em .6em; margin: .2em .4em 0 0; cursor: pointer; }
.two-hops [role="status"] { font-weight: 600; min-height: 3em; }
.two-hops .key::before { content: ""; display: inline-block; width: .8em; height: .8em;
  margin-right: .3em; background: var(--pale); }
.two-hops [style*="--colour"] { fill: var(--pale);
  --pale: color-mix(in srgb, var(--colour) 50%, var(--color-background-primary, white)); }`;

const SIZE = 320; // the plane's side in the drawing's own units
const at = (x, y) => `${(40 + (x / TOP) * SIZE).toFixed(1)},${(10 + (1 - y / TOP) * SIZE).toFixed(1)}`;

/** Area above the points of a lower edge. */
function area(low) {
  const steps = Array.from({ length: 241 }, (_, i) => (i * TOP) / 240);
  const over = steps.filter((x) => low(x) < TOP);
  if (!over.length) return "";
  return `M${at(over[0], TOP)} L${over.map((x) => at(x, low(x))).join(" ")} L${at(TOP, TOP)} Z`;
}

function bars(question, found) {
  const best = Math.max(...Object.values(found));
  const right = margin(found) > 0;
  const rows = Object.entries(found).map(([name, score]) => {
    const width = (100 * Math.max(0, score)) / TOP ** 2;
    const marks = score === best ? ` class="best${right ? " right" : ""}"` : "";
    const shown = score.toFixed(2).replace("-", "−").replace(/^−0\.00$/, "0.00");
    return `<tr${marks}><th scope="row">${name}</th><td><i style="width:${width}%"></i></td><td>${shown}</td></tr>`;
  });
  return `<table><caption>${question}</caption><tbody>${rows.join("")}</tbody></table>`;
}

/** Fill an element with the picture and its controls. */
function build(place, number) {
  const radios = Object.entries(KNOWN).map(
    ([known, text], i) =>
      `<label><input type="radio" name="known-${number}" value="${known}"${i ? "" : " checked"}>${text}</label>`,
  );
  const slide = (name, text) =>
    `<label class="slide">${name}<input type="range" min="0" max="${TOP}" step="0.01" aria-label="${text}"><output></output></label>`;
  const ticks = [0, 0.5, 1].map((t) => {
    const [x, y] = [at(t, 0).split(","), at(0, t).split(",")];
    return `<text x="${x[0]}" y="${+x[1] + 17}" text-anchor="middle">${t}</text><text x="${y[0] - 6}" y="${+y[1] + 4}" text-anchor="end">${t}</text>`;
  });
  place.innerHTML = `
<p>A model knows that Ada works at Lab 1, in Rome, and that Lab 2 is in Bern. One edit moves Ada to
Lab 2, a second moves Lab 2 to Oslo. A merge leaves the share c₁ of the first edit and c₂ of the
second. <b>Drag the point</b>, or use the sliders.</p>
<div><svg viewBox="0 0 380 372" role="img"><title></title>
<path class="lost" style="--colour:var(--lost)"/><path class="won" style="--colour:var(--won)"/>
<path d="M${at(0.5, 0)} L${at(0.5, TOP)} M${at(0, 0.5)} L${at(TOP, 0.5)}" stroke="currentColor" stroke-dasharray="5 4" opacity=".5"/>
<path d="M${at(0, 1)} L${at(1, 0)}" stroke="currentColor" stroke-dasharray="1 4" stroke-width="2" opacity=".8"/>
<path d="M${at(0, 0)} L${at(TOP, 0)} L${at(TOP, TOP)} L${at(0, TOP)} Z" fill="none" stroke="currentColor"/>
${ticks.join("")}<text x="200" y="366" text-anchor="middle">c₁, share of Ada’s edit</text>
<text transform="translate(11 170) rotate(-90)" text-anchor="middle">c₂, share of Lab 2’s edit</text>
<circle r="9" fill="var(--color-background-primary, white)" stroke="currentColor" stroke-width="3"/></svg>
<p role="status" aria-live="polite"></p>
<span class="key" style="--colour:var(--won)">the two-hop answer is right</span><br>
<span class="key" style="--colour:var(--lost)">both facts right, the two-hop answer lost</span><br>
Dashed: from ½ on an old fact is replaced. Dotted: weights that add up to 1.</div>
<div><fieldset><legend>What did the model know before?</legend>${radios.join("")}</fieldset>
${slide("c₁", "share of Ada’s edit that the merge leaves")}${slide("c₂", "share of Lab 2’s edit that the merge leaves")}
<div>${[["mean", 0.5], ["0.55 each", 0.55], ["0.65 each", 0.65], ["sum", 1]].map(([name, c]) => `<button type="button" value="${c}">${name}</button>`).join("")}</div>
<div class="answers"></div></div>`;

  const find = (selector) => place.querySelector(selector);
  const sliders = place.querySelectorAll('input[type="range"]');
  const svg = find("svg");

  function draw() {
    const [first, second] = [...sliders].map((slider) => +slider.value);
    const known = find("input:checked").value;
    const held = facts(known, 1, 1).map((found) => (Object.keys(found).length > 2 ? 0.5 : 0));
    find(".won").setAttribute("d", area((x) => edge(known, x)));
    find(".lost").setAttribute("d", area((x) => (x > held[0] ? held[1] : Infinity)));
    const [x, y] = at(first, second).split(",");
    find("circle").setAttribute("cx", x);
    find("circle").setAttribute("cy", y);
    sliders.forEach((slider) => (slider.nextSibling.value = (+slider.value).toFixed(2)));
    const [lab, city] = facts(known, first, second);
    find(".answers").innerHTML =
      bars("Two hops: in which city does Ada work?", scores(known, first, second)) +
      bars("One hop: where does Ada work?", lab) +
      bars("One hop: where is Lab 2?", city);
    find('[role="status"]').textContent = verdict(known, first, second);
    find("title").textContent = `The plane of c₁ and c₂, the point at ${first.toFixed(2)}, ${second.toFixed(2)}`;
  }

  function move(values) {
    sliders.forEach((slider, i) => (slider.value = values[i]));
    draw();
  }

  function drag(event) {
    const box = svg.getBoundingClientRect();
    const unit = box.width / 380;
    const x = ((event.clientX - box.left) / unit - 40) / SIZE;
    const y = 1 - ((event.clientY - box.top) / unit - 10) / SIZE;
    move([x * TOP, y * TOP]);
  }

  svg.addEventListener("pointerdown", (event) => {
    svg.setPointerCapture(event.pointerId);
    drag(event);
  });
  svg.addEventListener("pointermove", (event) => event.buttons && drag(event));
  place.addEventListener("input", draw);
  place.addEventListener("click", ({ target }) => target.matches("button") && move([target.value, target.value]));
  move([0.55, 0.55]);
}

if (typeof document === "undefined") {
  module.exports = { KNOWN, TOP, scores, facts, margin, edge, verdict };
} else {
  document.head.append(Object.assign(document.createElement("style"), { textContent: STYLE }));
  document.querySelectorAll(".two-hops").forEach(build);
}
