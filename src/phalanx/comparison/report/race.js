// Positions on a clock: a lane a model, a mark a position, dark once its pass is over.
kinds.race = raceChart;

function raceChart(figure, chart) {
  const controls = switches(figure, chart, () => draw());
  const play = element(controls, "button", { type: "button" }, words.race_play);
  const clock = element(controls, "label", { class: "clock" });
  element(clock, "span", { class: "hidden" }, words.race_clock);
  const hand = element(clock, "input", { type: "range", min: 0, max: 1000, value: 1000, step: 1 });
  const reading = element(clock, "output");
  const holder = element(figure, "div", { class: "lanes" });
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  let timer = null;
  let lanes = [];
  let view = null;
  let last = 1;

  function draw() {
    view = chosen(figure, chart);
    last = Math.max(...view.series.flatMap((s) => s.points.map((p) => p[0])));
    const total = Math.max(...view.series.flatMap((s) => s.points.map((p) => p[1])));
    holder.replaceChildren();
    lanes = view.series.map((one) => {
      const lane = element(holder, "div", { class: `lane series-${one.color % 8}` });
      element(lane, "h4", {}, one.name);
      const w = 190;
      const h = 190;
      const box = { left: 34, right: w - 8, top: 8, bottom: h - 22 };
      const svg = node(lane, "svg", { class: "plot", viewBox: `0 0 ${w} ${h}`, role: "img", "aria-label": one.name });
      const ax = (v) => box.left + (v / last) * (box.right - box.left);
      const ay = (v) => box.bottom - (v / total) * (box.bottom - box.top);
      node(svg, "line", { class: "base", x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom });
      node(svg, "line", { class: "base", x1: box.left, x2: box.left, y1: box.top, y2: box.bottom });
      for (const tick of ticksLinear(0, last, 2)) {
        node(svg, "line", { class: "base", x1: ax(tick), x2: ax(tick), y1: box.bottom, y2: box.bottom + 4 });
        node(svg, "text", { x: ax(tick), y: h - 6, "text-anchor": "middle" }, number(tick, 2));
      }
      for (const tick of [0, total / 2, total]) node(svg, "text", { x: box.left - 5, y: ay(tick) + 4, "text-anchor": "end" }, number(tick));
      const line = node(svg, "line", { class: "hand", y1: box.top - 4, y2: box.bottom });
      const dots = one.points.map((p) => ({
        when: p[0],
        dot: node(svg, "circle", { cx: ax(p[0]).toFixed(1), cy: ay(p[1]).toFixed(1), r: 2.4 }),
      }));
      const count = element(lane, "p");
      return { dots, line, ax, count };
    });
    tell();
  }

  function tell() {
    const now = (hand.value / 1000) * last;
    reading.textContent = `${number(now)} `;
    reading.append(Object.assign(document.createElement("small"), { textContent: view.x.label }));
    hand.setAttribute("aria-valuetext", `${number(now)} ${view.x.label}`);
    for (const lane of lanes) {
      let done = 0;
      for (const { when, dot } of lane.dots) {
        const over = when <= now * (1 + 1e-9);
        done += over ? 1 : 0;
        dot.setAttribute("class", over ? "done" : "waiting");
      }
      lane.line.setAttribute("visibility", hand.value < 1000 ? "visible" : "hidden");
      lane.line.setAttribute("x1", lane.ax(now));
      lane.line.setAttribute("x2", lane.ax(now));
      lane.count.textContent = words.race_done.replace("{done}", done).replace("{total}", lane.dots.length);
    }
  }

  function stop() {
    clearInterval(timer);
    timer = null;
    play.textContent = words.race_play;
  }

  play.addEventListener("click", () => {
    if (timer) return stop();
    if (Number(hand.value) >= 1000) hand.value = 0;
    play.textContent = words.race_pause;
    const step = calm.matches ? 125 : 4;
    timer = setInterval(() => {
      hand.value = Math.min(1000, Number(hand.value) + step);
      tell();
      if (Number(hand.value) >= 1000) stop();
    }, calm.matches ? 700 : 20);
    return undefined;
  });
  hand.addEventListener("input", () => { stop(); tell(); });
  draw();
}
