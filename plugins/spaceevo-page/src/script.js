(() => {
  "use strict";
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const tip = document.getElementById("tip");

  // What a mark says, beside it: under the pointer, or where the arrow keys have come to.
  let looked = null;
  const look = (mark) => {
    if (looked) looked.classList.remove("looked");
    looked = mark;
    const title = mark && mark.querySelector("title");
    tip.hidden = !title;
    if (!title) return;
    mark.classList.add("looked");
    tip.textContent = title.textContent;
    const box = mark.getBoundingClientRect(), own = tip.getBoundingClientRect();
    const left = box.left + box.width / 2 - own.width / 2;
    tip.style.left = Math.max(8, Math.min(left, document.documentElement.clientWidth - own.width - 8)) + "px";
    tip.style.top = (box.top - own.height - 8 > 0 ? box.top - own.height - 8 : box.bottom + 8) + "px";
  };
  addEventListener("scroll", () => look(null), { passive: true });

  // What is part of `root` listens: the whole page, and later what has come anew.
  const style = document.getElementById("chart-style").textContent;
  const ready = (root) => {
    for (const chart of all("svg.chart", root)) {
      chart.addEventListener("pointerover", (event) => look(event.target.closest(".mark")));
      chart.addEventListener("pointerleave", () => look(null));
      chart.addEventListener("blur", () => look(null));
      chart.addEventListener("keydown", (event) => {
        const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
        const marks = all(".mark", chart);
        if (event.key === "Escape") return look(null);
        if (event.key === "Enter" && looked) {
          const link = looked.closest("a");
          if (link) location.hash = link.getAttribute("href");
          return;
        }
        if (!(event.key in steps) || !marks.length) return;
        event.preventDefault();
        const from = marks.indexOf(looked);
        const to = from < 0 ? 0 : (from + steps[event.key] + marks.length) % marks.length;
        look(marks[to]);
      });
    }

    // A drawing as a file of its own, with the colours of the page.
    for (const button of all(".save-svg", root)) {
      button.hidden = false;
      button.addEventListener("click", () => {
        const drawing = document.getElementById(button.dataset.of).querySelector("svg").cloneNode(true);
        const [, , width, height] = drawing.getAttribute("viewBox").split(" ");
        drawing.setAttribute("width", width);
        drawing.setAttribute("height", height);
        drawing.setAttribute("xmlns", "http" + "://www.w3.org/2000/svg");
        const own = document.createElementNS(drawing.namespaceURI, "style");
        own.textContent = style + "svg.chart{background:var(--paper)}";
        drawing.prepend(own);
        const text = new XMLSerializer().serializeToString(drawing);
        const link = document.createElement("a");
        link.href = URL.createObjectURL(new Blob([text], { type: "image/svg+xml" }));
        link.download = button.dataset.of + ".svg";
        link.click();
        setTimeout(() => URL.revokeObjectURL(link.href), 10000);
      });
    }

    for (const button of all(".copy", root)) {
      button.hidden = false;
      button.addEventListener("click", async () => {
        try {
          await navigator.clipboard.writeText(button.dataset.copy);
          button.textContent = "Copied";
        } catch {
          getSelection().selectAllChildren(button.previousElementSibling);
          button.textContent = "Selected";
        }
        setTimeout(() => { button.textContent = "Copy"; }, 2000);
      });
    }

    // Tables are sorted by a click on a heading; numbers by their value.
    const value = (row, column) => {
      const cell = row.cells[column], number = cell.querySelector("[data-value]");
      return number ? Number(number.dataset.value) : cell.textContent;
    };
    for (const table of all("table", root)) {
      if (table.tBodies[0].rows.length < 2) continue;
      all("th", table).forEach((heading, column) => {
        const button = document.createElement("button");
        button.type = "button";
        button.append(...heading.childNodes);
        heading.append(button);
        button.addEventListener("click", () => {
          const down = heading.getAttribute("aria-sort") === "ascending";
          all("th", table).forEach((other) => other.removeAttribute("aria-sort"));
          heading.setAttribute("aria-sort", down ? "descending" : "ascending");
          const rows = [...table.tBodies[0].rows].sort((a, b) => {
            const [x, y] = [value(a, column), value(b, column)];
            const order = typeof x === "number" && typeof y === "number"
              ? x - y : String(x).localeCompare(String(y), undefined, { numeric: true });
            return down ? -order : order;
          });
          table.tBodies[0].append(...rows);
        });
      });
    }
  };
  ready(document);
  addEventListener("content", (event) => {
    if (looked && !looked.isConnected) look(null);
    ready(event.target);
  });

  // Where one is, in the contents.
  const links = new Map(all("nav a").map((link) => [link.getAttribute("href").slice(1), link]));
  const watch = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      links.forEach((link) => link.removeAttribute("aria-current"));
      links.get(entry.target.id)?.setAttribute("aria-current", "true");
    }
  }, { rootMargin: "-10% 0px -80% 0px" });
  all("main > section").forEach((section) => watch.observe(section));

  // Paper shows what is folded.
  addEventListener("beforeprint", () => all("details").forEach((part) => { part.open = true; }));
})();
