// Draws every <figure data-chart="name"> from the JSON of the page, and runs the theme buttons.
// No library and no network. Shapes and labels carry what colour carries. page.py joins this file and
// a part's own kinds of charts into one function, and calls start() at its end.
const read = (id) => JSON.parse(document.getElementById(id).textContent);
const charts = read("chart-data");
const words = read("chart-words");
const SVG = "http://www.w3.org/2000/svg";
const SHAPES = [
  "M4 0A4 4 0 1 1-4 0A4 4 0 1 1 4 0z",
  "M-3.600-3.600h7.200v7.200h-7.200z",
  "M0-4.600 4.600 3.800h-9.200z",
  "M0-5 5 0 0 5-5 0z",
  "M-1.500-5h3v3.500H5v3H1.500V5h-3V1.500H-5v-3h3.500z",
  "M0 4.600 4.600-3.800h-9.200z",
  "M0-5 4.800-1.500 3 4h-6l-1.800-5.500z",
  "M-5-2h10v4H-5z",
];
const PREFIXES = [[1e15, "P"], [1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];

function node(parent, tag, attributes = {}, text) {
  const made = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  parent.append(made);
  return made;
}

function element(parent, tag, attributes = {}, text) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  parent.append(made);
  return made;
}

// ------------------------------------------------------------------ numbers

function number(value, digits = 3) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e4) return String(value);
  for (const [scale, letter] of PREFIXES) {
    if (size >= scale * (scale === 1e3 ? 10 : 1)) {
      return String(Number((value / scale).toPrecision(digits))) + letter;
    }
  }
  if (size < 1e-3) return value.toExponential(Math.max(digits - 2, 0)).replace(".0e", "e");
  return String(Number(value.toPrecision(digits)));
}

function shown(value, axis, digits = 3) {
  if (axis.percent) return `${number(value * 100, digits)}%`;
  return number(value, digits) + (axis.unit ? ` ${axis.unit}` : "");
}

// ------------------------------------------------------------------ scales

function ticksLinear(low, high, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= rough * 0.999);
  const ticks = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-6; k++) ticks.push(k * step);
  return ticks;
}

function ticksLog(low, high, count, base) {
  const of = (v) => Math.log(v) / Math.log(base);
  const first = Math.ceil(of(low) - 1e-9);
  const last = Math.floor(of(high) + 1e-9);
  const every = Math.max(1, Math.ceil((last - first + 1) / count));
  const ticks = [];
  for (let k = first; k <= last; k += every) ticks.push(base ** k);
  if (base === 10 && ticks.length < 3) {
    const finer = [];
    for (let k = first - 1; k <= last + 1; k++) {
      for (const m of [1, 2, 5]) finer.push(m * 10 ** k);
    }
    const within = finer.filter((v) => v >= low * 0.999 && v <= high * 1.001);
    return within.length < 2 ? ticksLinear(low, high, count) : within;
  }
  return ticks;
}

function powersOfTwo(values) {
  return values.every((v) => v > 0 && Number.isInteger(Math.log2(v)));
}

// Linear axes of amounts begin at zero unless the data sits far from it; log axes pad by 6 %.
function scale(values, axis, from, to, count) {
  let low = Math.min(...values);
  let high = Math.max(...values);
  let ticks;
  if (axis.log) {
    if (low === high) { low /= 2; high *= 2; }
    const pad = (high / low) ** 0.04;
    const base = powersOfTwo(values) ? 2 : 10;
    low /= pad; high *= pad;
    ticks = ticksLog(low, high, count, base);
  } else if (axis.percent) {
    low = 0; high = 1;
    ticks = [0, 0.25, 0.5, 0.75, 1];
  } else {
    if (axis.zero && low > 0 && low < 0.5 * high) low = 0;
    if (low === high) { low -= 1; high += 1; }
    ticks = ticksLinear(low, high, count);
    const step = ticks.length > 1 ? ticks[1] - ticks[0] : high - low;
    if (low < ticks[0]) { ticks.unshift(ticks[0] - step); }
    low = Math.min(low, ticks[0]);
    high += (high - low) * 0.03;
  }
  const f = axis.log ? Math.log : (v) => v;
  const at = (v) => from + ((f(v) - f(low)) / (f(high) - f(low))) * (to - from);
  return { at, ticks };
}

// ------------------------------------------------------------------ controls

function switches(figure, chart, change) {
  const controls = element(figure, "div", { class: "controls" });
  chart.switches.forEach((one, place) => {
    if (one.options.length < 2) return;
    element(controls, "span", { class: "switch-label" }, one.label);
    const group = element(controls, "div", { class: "switch", role: "radiogroup", "aria-label": one.label });
    one.options.forEach((option, index) => {
      const label = element(group, "label");
      const input = element(label, "input", {
        type: "radio", name: `${figure.dataset.chart}-${place}`, value: option.value,
      });
      input.checked = index === 0;
      element(label, "span", {}, option.label);
      input.addEventListener("change", change);
    });
  });
  return controls;
}

function chosen(figure, chart) {
  const key = chart.switches.map((one, place) => {
    const input = figure.querySelector(`input[name="${figure.dataset.chart}-${place}"]:checked`);
    return input ? input.value : one.options[0].value;
  }).join("|");
  return chart.views[key];
}

const kinds = { line: lineChart };

// ------------------------------------------------------------------ line charts

function lineChart(figure, chart) {
  switches(figure, chart, () => draw());
  const holder = element(figure, "div");
  const keys = element(figure, "ul", { class: "keys" });
  const tip = element(figure, "div", { class: "tip", hidden: "" });
  const live = element(figure, "p", { class: "hidden", "aria-live": "polite" });
  const details = element(figure, "details", { class: "figures" });
  element(details, "summary", {}, words.data_table);
  let width = 0;

  function draw() {
    const view = chosen(figure, chart);
    const series = view ? view.series : [];
    holder.replaceChildren();
    keys.replaceChildren();
    if (!series.length) return void element(holder, "p", { class: "note" }, words.no_points);
    const named = series.filter((s) => s.label !== false);
    const long = 16 + 8 * Math.max(...named.map((s) => wide(s.name)));
    const direct = width >= 430 && long <= width * 0.36 && !view.scatter; // names at the ends of lines
    const right = direct ? Math.min(long, width * 0.34) : 12;
    const height = Math.round(Math.min(Math.max(width * 0.58, 260), 360));
    const box = { left: 52, right: width - right, top: 30, bottom: height - 42 };
    const svg = node(holder, "svg", {
      class: "plot", width, height, viewBox: `0 0 ${width} ${height}`, tabindex: 0, role: "img",
      "aria-label": `${figure.getAttribute("aria-label") || view.y.label}. ${named.map((s) => s.name).join(", ")}. ${words.chart_help}`,
    });
    const all = series.flatMap((s) => s.points);
    const ok = (v, axis) => v !== null && (!axis.log || v > 0);
    const xs = all.map((p) => p[0]).filter((v) => ok(v, view.x));
    const ys = all.flatMap((p) => [p[1], p[2], p[3]]).concat(view.lines.map((l) => l.y)).filter((v) => ok(v, view.y));
    const x = scale(xs, view.x, box.left, box.right, Math.max(3, Math.floor((box.right - box.left) / 90)));
    const y = scale(ys, view.y, box.bottom, box.top, 6);

    for (const tick of y.ticks) {
      const at = y.at(tick);
      if (at < box.top - 4 || at > box.bottom + 0.5) continue;
      node(svg, "line", { class: "grid", x1: box.left, x2: box.right, y1: at, y2: at });
      node(svg, "text", { x: box.left - 8, y: at + 4, "text-anchor": "end" }, shown(tick, view.y));
    }
    node(svg, "line", { class: "base", x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom });
    for (const tick of x.ticks) {
      const at = x.at(tick);
      if (at < box.left - 1 || at > box.right + 1) continue;
      node(svg, "line", { class: "base", x1: at, x2: at, y1: box.bottom, y2: box.bottom + 4 });
      node(svg, "text", { x: at, y: box.bottom + 18, "text-anchor": "middle" }, shown(tick, view.x));
    }
    node(svg, "text", { class: "axis", x: 0, y: 12 }, view.y.label);
    node(svg, "text", { class: "axis", x: box.right, y: height - 4, "text-anchor": "end" }, view.x.label);
    for (const line of view.lines) {
      const at = y.at(line.y);
      node(svg, "line", { class: "reference", x1: box.left, x2: box.right, y1: at, y2: at });
      node(svg, "text", { x: box.left + 6, y: at - 5 }, `${line.label} ${shown(line.y, view.y)}`);
    }

    const marks = [];
    const ends = [];
    series.forEach((one, s) => {
      const group = node(svg, "g", { class: `series-${one.color % 8}`, "data-series": s });
      const points = one.points.filter((p) => ok(p[0], view.x) && ok(p[1], view.y));
      if (!points.length) return;
      const spots = points.map((p) => [x.at(p[0]), y.at(p[1])]);
      const trace = one.dashed ? "trace dashed" : "trace";
      if (one.line !== false) node(group, "path", { class: trace, d: `M${spots.map((p) => p.map((v) => v.toFixed(1)).join(" ")).join("L")}` });
      const crowded = points.length > 24 ? Math.ceil(points.length / 12) : 1;
      points.forEach((p, k) => {
        const [px, py] = spots[k];
        if (p[2] !== null && ok(p[2], view.y)) {
          node(group, "line", { class: "spread-bar", x1: px, x2: px, y1: y.at(p[2]), y2: y.at(p[3]) });
        }
        if (one.dots !== false && (k % crowded === 0 || k === points.length - 1)) {
          node(group, "path", { class: "dot", d: SHAPES[shape(one)], transform: `translate(${px.toFixed(1)} ${py.toFixed(1)})` });
        }
        marks.push({ s, k, x: px, y: py, point: p, name: one.name });
      });
      if (one.label !== false) ends.push({ s, color: one.color, name: one.name, x: spots.at(-1)[0], y: spots.at(-1)[1] });
    });

    if (direct) {
      spread(ends, 15, box.top - 6, box.bottom).forEach((end) => {
        const group = svg.querySelector(`g[data-series="${end.s}"]`);
        const from = end.x + 6;
        if (Math.abs(end.at - end.y) > 3 || box.right - end.x > 12) {
          node(group, "path", { class: "leader", d: `M${from} ${end.y}L${box.right + 8} ${end.at}` });
        }
        const label = node(group, "text", { class: "end", x: box.right + 11, y: end.at + 4 }, end.name);
        label.addEventListener("pointerenter", () => emphasise(end.s));
        label.addEventListener("pointerleave", () => emphasise(null));
      });
    } else {
      for (const one of named) {
        const item = element(keys, "li", { class: `series-${one.color % 8}` });
        const swatch = node(item, "svg", { class: "swatch", viewBox: "-6 -6 12 12", width: 12, height: 12, "aria-hidden": "true" });
        if (one.dots === false) node(swatch, "path", { class: one.dashed ? "trace dashed" : "trace", d: "M-6 0H6" });
        else node(swatch, "path", { d: SHAPES[shape(one)] });
        item.append(one.name);
      }
    }

    const ring = node(svg, "circle", { class: "ring", r: 8, visibility: "hidden" });
    let current = null;

    function emphasise(s) {
      for (const group of svg.querySelectorAll("g[data-series]")) {
        group.classList.toggle("faded", s !== null && Number(group.dataset.series) !== s);
      }
    }

    function point(mark, speak) {
      current = mark;
      emphasise(mark ? mark.s : null);
      tip.hidden = !mark;
      ring.setAttribute("visibility", mark ? "visible" : "hidden");
      if (!mark) return;
      ring.setAttribute("cx", mark.x);
      ring.setAttribute("cy", mark.y);
      const p = mark.point;
      const interval = p[2] === null ? "" : ` (${shown(p[2], view.y, 4)} – ${shown(p[3], view.y, 4)})`;
      tip.replaceChildren();
      element(tip, "b", {}, mark.name);
      element(tip, "div", {}, `${shown(p[1], view.y, 4)}${interval} · ${view.y.label}`);
      element(tip, "div", {}, `${shown(p[0], view.x)} · ${view.x.label}`);
      const span = tip.offsetWidth;
      tip.style.left = `${Math.max(0, Math.min(mark.x - span / 2, width - span))}px`;
      const above = holder.offsetTop + mark.y - tip.offsetHeight - 14;
      tip.style.top = `${above < 0 ? holder.offsetTop + mark.y + 16 : above}px`;
      if (speak) live.textContent = tip.innerText;
    }

    function nearest(event) {
      const frame = svg.getBoundingClientRect();
      const px = event.clientX - frame.left;
      const py = event.clientY - frame.top;
      let found = null;
      let least = 60 ** 2;
      for (const mark of marks) {
        const away = (mark.x - px) ** 2 + (mark.y - py) ** 2;
        if (away < least) { least = away; found = mark; }
      }
      return found;
    }

    svg.addEventListener("pointermove", (event) => point(nearest(event), false));
    svg.addEventListener("pointerleave", () => point(null, false));
    svg.addEventListener("blur", () => point(null, false));
    svg.addEventListener("keydown", (event) => {
      const across = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      const along = { ArrowUp: -1, ArrowDown: 1 }[event.key];
      if (event.key === "Escape") return point(null, false);
      if (across === undefined && along === undefined) return undefined;
      event.preventDefault();
      if (!current) return point(marks[0] || null, true);
      let next;
      if (across) {
        next = marks.find((m) => m.s === current.s && m.k === current.k + across);
      } else {
        const rows = [...new Set(marks.map((m) => m.s))];
        const row = rows[(rows.indexOf(current.s) + along + rows.length) % rows.length];
        next = marks.filter((m) => m.s === row)
          .reduce((a, b) => (Math.abs(b.x - current.x) < Math.abs(a.x - current.x) ? b : a));
      }
      return point(next || current, true);
    });
    if (details.open) tabulate(view);
  }

  function tabulate(view) {
    details.querySelector(".scroll")?.remove();
    if (!view) return;
    const frame = element(details, "div", { class: "scroll" });
    const table = element(frame, "table", { class: "plain" });
    const head = element(element(table, "thead"), "tr");
    if (view.scatter) return void list(view, table, head);
    element(head, "th", { scope: "col" }, view.x.label);
    for (const one of view.series) element(head, "th", { scope: "col", class: "n" }, one.name);
    const body = element(table, "tbody");
    const xs = [...new Set(view.series.flatMap((s) => s.points.map((p) => p[0])))].sort((a, b) => a - b);
    for (const at of xs) {
      const row = element(body, "tr");
      element(row, "th", { scope: "row" }, shown(at, view.x));
      for (const one of view.series) {
        const p = one.points.find((q) => q[0] === at);
        const interval = p && p[2] !== null ? ` (${shown(p[2], view.y)}–${shown(p[3], view.y)})` : "";
        element(row, "td", { class: "n" }, p ? shown(p[1], view.y, 4) + interval : "");
      }
    }
  }

  // Points that share no x: a row each.
  function list(view, table, head) {
    element(head, "th", { scope: "col" }, words.model);
    for (const axis of [view.x, view.y]) element(head, "th", { scope: "col", class: "n" }, axis.label);
    const body = element(table, "tbody");
    for (const one of view.series) {
      for (const p of one.points) {
        const row = element(body, "tr");
        element(row, "th", { scope: "row" }, one.name);
        element(row, "td", { class: "n" }, shown(p[0], view.x));
        element(row, "td", { class: "n" }, shown(p[1], view.y));
      }
    }
  }
  details.addEventListener("toggle", () => { if (details.open) tabulate(chosen(figure, chart)); });

  sized(figure, (w) => { width = w; draw(); });
}

function shape(series) {
  return (series.shape ?? series.color) % 8;
}

// A wide (Chinese, Japanese) character takes about two columns.
function wide(text) {
  return [...text].reduce((sum, c) => sum + (c.codePointAt(0) > 0x2e80 ? 1.8 : 1), 0);
}

function spread(ends, gap, top, bottom) {
  const sorted = [...ends].sort((a, b) => a.y - b.y);
  sorted.forEach((end, k) => { end.at = Math.max(end.y, k ? sorted[k - 1].at + gap : top); });
  let limit = bottom;
  for (const end of sorted.reverse()) {
    end.at = Math.min(end.at, limit);
    limit = end.at - gap;
  }
  return sorted;
}

// ------------------------------------------------------------------ the page

function sized(figure, draw) {
  let before = 0;
  const look = () => {
    const width = Math.floor(figure.clientWidth);
    if (width > 0 && width !== before) { before = width; draw(width); }
  };
  look();
  new ResizeObserver(look).observe(figure);
}

function theme() {
  const group = document.querySelector(".theme");
  if (!group) return;
  group.hidden = false;
  let kept = null;
  try { kept = localStorage.getItem("phalanx-theme"); } catch { /* storage may be forbidden for files */ }
  const set = (value) => {
    if (value === "auto") document.documentElement.removeAttribute("data-theme");
    else document.documentElement.dataset.theme = value;
  };
  for (const input of group.querySelectorAll("input")) {
    if (input.value === kept) { input.checked = true; set(kept); }
    input.addEventListener("change", () => {
      set(input.value);
      try { localStorage.setItem("phalanx-theme", input.value); } catch { /* as above */ }
    });
  }
}

function start() {
  theme();
  for (const figure of document.querySelectorAll("figure[data-chart]")) {
    const chart = charts[figure.dataset.chart];
    if (chart) kinds[chart.kind](figure, chart);
  }
  addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details:not(.figures)")) details.open = true;
    document.documentElement.dataset.theme = "light"; // paper is white
  });
  addEventListener("afterprint", () => document.querySelector(".theme input:checked").dispatchEvent(new Event("change")));
}
