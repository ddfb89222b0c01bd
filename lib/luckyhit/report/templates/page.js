"use strict";
// What the pages can do with a script. They are whole without it: nothing is made here that is not there already.
(() => {
const every = (selector, root = document) => [...root.querySelectorAll(selector)];
const made = (tag, attributes = {}, text = "") => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.textContent = text;
  return element;
};
const drawn = (tag, attributes) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
};

// Folded parts: opened for a link into them, and for paper.
const openAround = (element) => {
  for (let at = element; at; at = at.parentElement) if (at.localName === "details") at.open = true;
};
const openTarget = () => {
  const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  if (target.localName === "details") target.open = true;
  openAround(target);
  target.scrollIntoView();
};
addEventListener("hashchange", openTarget);
addEventListener("beforeprint", () => {
  for (const part of every("details:not(.evidence):not([open])")) {
    part.open = true;
    part.dataset.forPaper = "";
  }
});
addEventListener("afterprint", () => {
  for (const part of every("details[data-for-paper]")) {
    part.open = false;
    delete part.dataset.forPaper;
  }
});

// Copy buttons.
const copied = async (element) => {
  const text = element.textContent.trim();
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const range = document.createRange();
    range.selectNodeContents(element);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    return document.execCommand("copy");
  }
};
for (const code of every(".commands code, pre.copy")) {
  const button = made("button", { type: "button", class: "copy" }, "Copy");
  button.setAttribute("aria-label", `Copy: ${code.textContent.trim().slice(0, 80)}`);
  const status = made("span", { role: "status", class: "small soft" });
  button.addEventListener("click", async () => {
    status.textContent = (await copied(code)) ? "Copied" : "Selected: copy it by hand";
  });
  code.after(" ", button, " ", status);
}

// Sorted tables: by a click on a heading, once up, once down.
const sortKey = (text) => {
  const found = text.replaceAll("\u2212", "-").replaceAll(",", "").match(/[-+]?\d*\.?\d+/);
  return found ? Number(found[0]) : null;
};
const compared = (one, other) => {
  const [first, second] = [sortKey(one), sortKey(other)];
  if (first !== null && second !== null && first !== second) return first - second;
  if ((first === null) !== (second === null)) return first === null ? 1 : -1;
  return one.localeCompare(other, undefined, { numeric: true });
};
for (const table of every(".scroll > table")) {
  const bodies = [...table.tBodies];
  const units = () => (bodies.length > 1 ? [...table.tBodies] : [...table.tBodies[0].rows]);
  if (!table.tHead || !bodies.length || units().length < 3) continue;
  const cellOf = (unit, place) => (unit.rows ? unit.rows[0] : unit).cells[place]?.textContent.trim() ?? "";
  for (const [place, heading] of [...table.tHead.rows[0].cells].entries()) {
    const button = made("button", { type: "button", class: "sort" }, heading.textContent);
    heading.replaceChildren(button);
    button.addEventListener("click", () => {
      const up = heading.getAttribute("aria-sort") !== "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", up ? "ascending" : "descending");
      const sorted = units().sort((one, other) => compared(cellOf(one, place), cellOf(other, place)) * (up ? 1 : -1));
      const parent = bodies.length > 1 ? table : table.tBodies[0];
      parent.append(...sorted);
    });
  }
}

// The index: only the runs of one case, of one verdict.
const filters = document.getElementById("filters");
if (filters) {
  const rows = every("tr[data-run]");
  const count = made("span", { role: "status", class: "small soft" });
  const choices = ["case", "label"].map((name) => {
    const values = [...new Set(rows.map((row) => row.dataset[name]))].sort();
    const label = made("label", {}, `${name === "case" ? "Case" : "Verdict"} `);
    const choice = made("select", { "data-filter": name });
    choice.append(made("option", { value: "" }, "all"), ...values.map((value) => made("option", { value }, value)));
    label.append(choice);
    filters.append(label, " ");
    return choice;
  });
  filters.append(count);
  const filter = () => {
    let shown = 0;
    for (const row of rows) {
      row.hidden = choices.some(({ value, dataset }) => value && row.dataset[dataset.filter] !== value);
      shown += row.hidden ? 0 : 1;
    }
    for (const part of every("[data-trend], [data-of]")) {
      part.hidden = Boolean(choices[0].value) && (part.dataset.trend ?? part.dataset.of) !== choices[0].value;
    }
    count.textContent = shown === rows.length ? "" : `${shown} of ${rows.length} shown`;
  };
  for (const choice of choices) choice.addEventListener("change", filter);
}

// Figures: values under the pointer, zoom, lines that can be switched off.
const bent = (axis, value) => {
  if (axis.scale === "log") return Math.log10(Math.max(value, 1e-9));
  if (axis.scale === "symlog" && Math.abs(value) > axis.near)
    return Math.sign(value) * axis.near * (1 + Math.log10(Math.abs(value) / axis.near));
  return value;
};
const unbent = (axis, place) => {
  if (axis.scale === "log") return 10 ** place;
  if (axis.scale === "symlog" && Math.abs(place) > axis.near)
    return Math.sign(place) * axis.near * 10 ** (Math.abs(place) / axis.near - 1);
  return place;
};
const shareOf = (axis, value) =>
  (bent(axis, value) - bent(axis, axis.low)) / (bent(axis, axis.high) - bent(axis, axis.low));
const valueAt = (axis, share) =>
  unbent(axis, bent(axis, axis.low) + share * (bent(axis, axis.high) - bent(axis, axis.low)));
const shortText = (value, form) => {
  const scaled = form === "percent" ? value * 100 : value;
  const text = Number(scaled.toPrecision(4)).toLocaleString("en", { maximumSignificantDigits: 4 });
  return text.replace("-", "\u2212") + (form === "percent" ? "\u00a0%" : "");
};
const roundTicks = (low, high) => {
  const power = 10 ** Math.floor(Math.log10((high - low) / 6));
  const step = [1, 2, 5, 10].map((part) => part * power).find((one) => (high - low) / one <= 6);
  const ticks = [];
  for (let at = Math.ceil(low / step); at * step <= high; at += 1) ticks.push(at * step);
  return ticks;
};

// One row of CSV; cells may be quoted.
const cellsOf = (line) =>
  [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map((cell) => cell[1]?.replaceAll('""', '"') ?? cell[2]);
const numbersOf = (link) => {
  const lines = decodeURIComponent(link.getAttribute("href").split(",").slice(1).join(",")).trim().split("\n");
  const byPanel = new Map();
  for (const line of lines.slice(1)) {
    const [panel, series, ...rest] = cellsOf(line);
    const [x, to, y, low, high] = rest.map((cell) => (cell === "" ? NaN : Number(cell)));
    if (!series || Number.isNaN(x)) continue;
    const ofPanel = byPanel.get(panel) ?? byPanel.set(panel, new Map()).get(panel);
    (ofPanel.get(series) ?? ofPanel.set(series, []).get(series)).push({ x, to, y, low, high });
  }
  return byPanel;
};
const REACH_PX = 24;

const liven = (figure) => {
  const svg = figure.querySelector("svg.chart");
  const link = figure.querySelector("a.csv");
  if (!svg || !link) return;
  const plate = svg.parentElement;
  const panels = every("g.panel[data-panel]", svg).map((group) => ({ group, ...JSON.parse(group.dataset.panel) }));
  if (!panels.length) return;
  let numbers = null;
  const hidden = new Set();
  let zoom = [0, 1];
  svg.setAttribute("role", "group");
  const readout = made("div", { class: "readout", role: "status" });
  const cursor = drawn("path", { class: "cursor t-soft", fill: "none", stroke: "currentColor" });
  const chosen = drawn("rect", { class: "chosen", fill: "currentColor", opacity: ".15" });
  svg.append(cursor, chosen);
  plate.append(readout);
  const reset = made("button", { type: "button", class: "zoom-out", hidden: "" }, "Zoom out");
  link.after(" ", reset);

  for (const key of every("g.key", svg)) {
    const name = key.dataset.series;
    key.setAttribute("role", "button");
    key.setAttribute("tabindex", "0");
    key.setAttribute("aria-pressed", "true");
    key.setAttribute("aria-label", name);
    const toggle = () => {
      hidden.has(name) ? hidden.delete(name) : hidden.add(name);
      key.setAttribute("aria-pressed", String(!hidden.has(name)));
      for (const mark of every(".marks [data-series]", svg))
        if (mark.dataset.series === name) mark.style.display = hidden.has(name) ? "none" : "";
    };
    key.addEventListener("click", toggle);
    key.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      event.stopPropagation();
      toggle();
    });
  }

  const pointOf = (event) => {
    const box = svg.getBoundingClientRect();
    const scale = svg.viewBox.baseVal.width / box.width;
    return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
  };
  const panelAt = ([x, y]) =>
    panels.find(({ px: [left, top, width, height] }) => x >= left - 4 && x <= left + width + 4 && y >= top && y <= top + height);
  const xOf = (panel, value) => {
    const share = (shareOf(panel.x, value) - zoom[0]) / (zoom[1] - zoom[0]);
    return panel.px[0] + share * panel.px[2];
  };

  // The nearest value of each line; of single points only the nearest of all.
  const show = (panel, x) => {
    numbers ??= numbersOf(link);
    const found = [];
    for (const [series, values] of numbers.get(panel.name) ?? []) {
      if (hidden.has(series)) continue;
      let best = null;
      for (const value of values) {
        const [from, to] = [xOf(panel, value.x), Number.isNaN(value.to) ? NaN : xOf(panel, value.to)];
        const away = Number.isNaN(to) ? Math.abs(from - x) : x >= from && x < to ? 0 : Infinity;
        if (away <= REACH_PX && (!best || away < best.away)) best = { ...value, away, place: Number.isNaN(to) ? from : x };
      }
      if (best) found.push({ series, ...best });
    }
    readout.replaceChildren();
    if (!found.length) {
      cursor.setAttribute("d", "");
      readout.hidden = true;
      return;
    }
    const nearest = found.reduce((one, other) => (other.away < one.away ? other : one));
    const form = panel.y.form;
    const label = panels.map((one) => one.x.label).filter(Boolean).at(-1) ?? "";
    const range = Number.isNaN(nearest.to) ? "" : ` to ${shortText(nearest.to)}`;
    readout.append(made("strong", {}, panel.x.fixed ? panel.name : `${shortText(nearest.x)}${range} ${label}`));
    for (const { series, x: at, y, low, high } of found) {
      const ends = Number.isNaN(low) || Number.isNaN(high) ? "" : ` (${shortText(low, form)} to ${shortText(high, form)})`;
      const value = Number.isNaN(y) ? (ends ? "" : shortText(at, panel.x.form)) : shortText(y, form);
      readout.append(made("span", {}, `${series}: ${value}${ends}`));
    }
    readout.hidden = false;
    const [, top, , height] = panel.px;
    cursor.setAttribute("d", `M${nearest.place} ${top}V${top + height}`);
    const share = nearest.place / svg.viewBox.baseVal.width;
    readout.style.left = share < 0.5 ? `calc(${share * 100}% + 1rem)` : "auto";
    readout.style.right = share < 0.5 ? "auto" : `calc(${(1 - share) * 100}% + 1rem)`;
    readout.style.top = `${(top / svg.viewBox.baseVal.height) * 100}%`;
  };
  const hide = () => {
    readout.hidden = true;
    cursor.setAttribute("d", "");
  };
  hide();

  // Zooming moves what is drawn: on each scale it is a straight line in places.
  const originals = new Map();
  const original = (element, name) => {
    const kept = originals.get(element) ?? originals.set(element, {}).get(element);
    return (kept[name] ??= element.getAttribute(name));
  };
  const redraw = () => {
    const [first, last] = zoom;
    for (const panel of panels) {
      const [left, , width] = panel.px;
      const moved = (x) => left + ((Number(x) - left) / width - first) / (last - first) * width;
      const fixed = (value) => String(Math.round(value * 100) / 100);
      for (const element of every(".marks path, .marks rect, .marks circle, .marks text", panel.group)) {
        if ("fixed" in element.dataset) continue;
        if (element.localName === "path") {
          const path = original(element, "d");
          if (element.classList.contains("m")) {
            const places = [...path.matchAll(/[ML](-?[\d.]+)/g)].map((match) => Number(match[1]));
            const middle = (Math.min(...places) + Math.max(...places)) / 2;
            element.setAttribute("transform", `translate(${fixed(moved(middle) - middle)} 0)`);
          } else {
            element.setAttribute("d", path.replace(/([MLH])(-?[\d.]+)/g, (_, command, x) => command + fixed(moved(x))));
          }
        } else if (element.localName === "rect") {
          const x = Number(original(element, "x"));
          element.setAttribute("x", fixed(moved(x)));
          element.setAttribute("width", fixed(Math.max(moved(x + Number(original(element, "width"))) - moved(x), 0)));
        } else {
          const name = element.localName === "circle" ? "cx" : "x";
          element.setAttribute(name, fixed(moved(original(element, name))));
        }
      }
      redrawTicks(panel, moved);
    }
    reset.hidden = first === 0 && last === 1;
  };
  const redrawTicks = (panel, moved) => {
    const group = panel.group.querySelector(".x-ticks");
    if (!group || !group.childElementCount) return;
    const [left, top, width, height] = panel.px;
    const inside = (x) => x >= left - 1 && x <= left + width + 1;
    group.original ??= group.innerHTML;
    group.innerHTML = group.original;
    if (zoom[0] === 0 && zoom[1] === 1) return;
    const marks = [];
    if (panel.x.fixed) {
      for (const text of every("text", group)) {
        const x = moved(text.getAttribute("x"));
        inside(x) ? text.setAttribute("x", x) : text.remove();
        if (inside(x)) marks.push(x);
      }
    } else {
      const pattern = group.querySelector("text");
      for (const text of every("text", group)) text.remove();
      for (const value of roundTicks(valueAt(panel.x, zoom[0]), valueAt(panel.x, zoom[1]))) {
        const text = pattern.cloneNode();
        text.setAttribute("x", xOf(panel, value));
        text.textContent = shortText(value, panel.x.form);
        group.append(text);
        marks.push(xOf(panel, value));
      }
    }
    group.querySelector("path")?.setAttribute("d", marks.map((x) => `M${x} ${top + height}v3`).join(""));
  };
  const zoomTo = (from, to) => {
    const [low, high] = [Math.max(Math.min(from, to), 0), Math.min(Math.max(from, to), 1)];
    if (high - low < 0.002) return;
    zoom = [low, high];
    hide();
    redraw();
  };
  const shareAt = (panel, x) => zoom[0] + ((x - panel.px[0]) / panel.px[2]) * (zoom[1] - zoom[0]);
  const zoomOut = () => zoomTo(0, 1);
  reset.addEventListener("click", () => {
    zoomOut();
    plate.focus();
  });

  let drag = null;
  svg.addEventListener("pointerdown", (event) => {
    const point = pointOf(event);
    const panel = panelAt(point);
    if (panel && event.button === 0) drag = { panel, from: point[0], to: point[0], id: event.pointerId };
  });
  svg.addEventListener("pointermove", (event) => {
    const point = pointOf(event);
    if (drag) {
      drag.to = Math.min(Math.max(point[0], drag.panel.px[0]), drag.panel.px[0] + drag.panel.px[2]);
      if (Math.abs(drag.to - drag.from) > 6) {
        if (!svg.hasPointerCapture(drag.id)) svg.setPointerCapture(drag.id);
        const [, top, , height] = drag.panel.px;
        const ends = { x: Math.min(drag.from, drag.to), y: top, width: Math.abs(drag.to - drag.from), height };
        for (const [name, value] of Object.entries(ends)) chosen.setAttribute(name, value);
        hide();
        return;
      }
    }
    const panel = panelAt(point);
    panel ? show(panel, point[0]) : hide();
  });
  const dropped = () => {
    chosen.setAttribute("width", 0);
    drag = null;
  };
  svg.addEventListener("pointerup", () => {
    if (drag && Math.abs(drag.to - drag.from) > 6) zoomTo(shareAt(drag.panel, drag.from), shareAt(drag.panel, drag.to));
    dropped();
  });
  svg.addEventListener("pointercancel", dropped);
  svg.addEventListener("pointerleave", () => drag || hide());
  svg.addEventListener("dblclick", zoomOut);

  // The same from the keyboard.
  let at = null;
  plate.setAttribute("tabindex", "0");
  plate.setAttribute("role", "group");
  plate.setAttribute("aria-label", "Figure: left and right show its values, + and - zoom, Escape zooms out");
  plate.addEventListener("keydown", (event) => {
    const panel = panels[at?.panel ?? 0];
    const [left, , width] = panel.px;
    at ??= { panel: 0, x: left + width / 2 };
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const turn = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (step) at.x = Math.min(Math.max(at.x + (step * width) / 60, left), left + width);
    else if (turn && panels[at.panel + turn]) at.panel += turn;
    else if (event.key === "+" || event.key === "=" || event.key === "-") {
      const middle = shareAt(panel, at.x);
      const half = ((zoom[1] - zoom[0]) / 2) * (event.key === "-" ? 2 : 0.5);
      zoomTo(middle - half, middle + half);
      at.x = xOf(panel, valueAt(panel.x, middle));
    } else if (event.key === "Escape") zoomOut();
    else return;
    event.preventDefault();
    if (step || turn) show(panels[at.panel], at.x);
  });
  plate.addEventListener("focusout", hide);
};
for (const figure of every("figure")) liven(figure);
document.documentElement.classList.add("scripted");
openTarget();
})();
