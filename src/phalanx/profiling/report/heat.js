// A matrix of positions by positions: from row i to column j, darker where the figure is greater,
// nothing where there is no path. Figures stand in the cells where they fit.
kinds.heat = heatChart;

function heatChart(figure, chart) {
  switches(figure, chart, () => draw());
  const holder = element(figure, "div");
  const tip = element(figure, "div", { class: "tip", hidden: "" });
  const live = element(figure, "p", { class: "hidden", "aria-live": "polite" });
  const details = element(figure, "details", { class: "figures" });
  element(details, "summary", {}, words.data_table);
  let width = 0;

  function draw() {
    const view = chosen(figure, chart);
    const rows = view.cells;
    const side = Math.min(width - 34, 420);
    const columns = rows[0].length; // fewer than rows where outputs are pooled
    const size = side / Math.max(rows.length, columns);
    const box = { left: 30, top: 22 };
    const svg = document.createElementNS(SVG, "svg");
    holder.replaceChildren(svg);
    const height = box.top + side + 40;
    for (const [key, value] of Object.entries({
      class: `plot heat series-${chart.color % 8}`, width, height, viewBox: `0 0 ${width} ${height}`, tabindex: 0, role: "img",
      "aria-label": `${figure.getAttribute("aria-label")}. ${view.label}. ${words.heat_help}`,
    })) svg.setAttribute(key, value);
    node(svg, "text", { class: "axis", x: 0, y: 12 }, `i: ${words.heat_from}`);
    node(svg, "text", { class: "axis", x: box.left + side, y: height - 6, "text-anchor": "end" }, `j: ${words.heat_to}`);
    const every = Math.max(1, Math.ceil(rows.length / 8));
    for (let k = 0; k < Math.max(rows.length, columns); k += every) {
      const middle = (k + 0.5) * size + 4;
      if (k < rows.length) node(svg, "text", { x: box.left - 6, y: box.top + middle, "text-anchor": "end" }, k);
      if (k < columns) node(svg, "text", { x: box.left + middle - 4, y: box.top + side + 16, "text-anchor": "middle" }, k);
    }
    node(svg, "rect", { class: "heat-frame", x: box.left, y: box.top, width: columns * size, height: rows.length * size });
    rows.forEach((row, i) => row.forEach((value, j) => {
      if (value === null) return;
      const share = value / (view.greatest || 1); // of the ink; a figure on dark ink is "over"
      const place = { x: box.left + j * size, y: box.top + i * size };
      node(svg, "rect", { ...place, width: size, height: size, class: "heat-cell", "fill-opacity": (0.1 + 0.85 * share).toFixed(3) });
      if (size >= 24) {
        const dark = share > 0.55 ? "heat-figure over" : "heat-figure";
        node(svg, "text", { class: dark, x: place.x + size / 2, y: place.y + size / 2 + 4, "text-anchor": "middle" }, number(value, 2));
      }
    }));
    const ring = node(svg, "rect", { class: "ring", width: size, height: size, visibility: "hidden" });
    let current = null;

    function point(cell, speak) {
      current = cell;
      tip.hidden = !cell;
      ring.setAttribute("visibility", cell ? "visible" : "hidden");
      if (!cell) return;
      const [i, j] = cell;
      ring.setAttribute("x", box.left + j * size);
      ring.setAttribute("y", box.top + i * size);
      tip.replaceChildren();
      element(tip, "b", {}, `${i} → ${j}`);
      const value = rows[i][j];
      element(tip, "div", {}, value === null ? words.heat_none : `${number(value, 4)} · ${view.label}`);
      const across = box.left + (j + 0.5) * size;
      tip.style.left = `${Math.max(0, Math.min(across - tip.offsetWidth / 2, width - tip.offsetWidth))}px`;
      const above = holder.offsetTop + box.top + i * size - tip.offsetHeight - 8;
      tip.style.top = `${above < 0 ? above + tip.offsetHeight + size + 16 : above}px`;
      if (speak) live.textContent = tip.innerText;
    }

    svg.addEventListener("pointermove", (event) => {
      const frame = svg.getBoundingClientRect();
      const i = Math.floor((event.clientY - frame.top - box.top) / size);
      const j = Math.floor((event.clientX - frame.left - box.left) / size);
      point(i >= 0 && j >= 0 && i < rows.length && j < columns ? [i, j] : null, false);
    });
    svg.addEventListener("pointerleave", () => point(null, false));
    svg.addEventListener("blur", () => point(null, false));
    svg.addEventListener("keydown", (event) => {
      const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
      if (event.key === "Escape") return point(null, false);
      if (!step) return undefined;
      event.preventDefault();
      if (!current) return point([0, 0], true);
      const within = (v, count) => Math.min(Math.max(v, 0), count - 1);
      return point([within(current[0] + step[0], rows.length), within(current[1] + step[1], columns)], true);
    });
    if (details.open) tabulate(view);
  }

  function tabulate(view) {
    details.querySelector(".scroll")?.remove();
    const frame = element(details, "div", { class: "scroll" });
    const table = element(frame, "table", { class: "plain" });
    element(table, "caption", { class: "hidden" }, `${view.label}: ${words.heat_from} (i) ${words.heat_to} (j)`);
    const head = element(element(table, "thead"), "tr");
    element(head, "th", { scope: "col" }, "i \\ j");
    view.cells[0].forEach((_, j) => element(head, "th", { scope: "col", class: "n" }, j));
    const body = element(table, "tbody");
    view.cells.forEach((row, i) => {
      const line = element(body, "tr");
      element(line, "th", { scope: "row" }, i);
      for (const value of row) element(line, "td", { class: "n" }, value === null ? "–" : number(value, 4));
    });
  }
  details.addEventListener("toggle", () => { if (details.open) tabulate(chosen(figure, chart)); });

  sized(figure, (w) => { width = w; draw(); });
}
