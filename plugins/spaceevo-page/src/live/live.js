(() => {
  "use strict";
  const note = document.getElementById("connection");

  // Times as the reader's clock shows them.
  const local = (root) => {
    for (const time of root.querySelectorAll("time[datetime]")) {
      time.textContent = new Date(time.dateTime).toLocaleString();
    }
  };
  local(document);

  // Puts a part of the page in its place, but not under the reader's keys: it waits until they have left.
  const waiting = new Map();
  const put = ([within, id, content]) => {
    let part = document.getElementById(id);
    if (!part) {
      part = document.createElement("div");
      part.id = id;
      document.getElementById(within)?.append(part);
    }
    if (part.contains(document.activeElement)) return waiting.set(id, [within, id, content]);
    const open = [...part.querySelectorAll("details")].map((details) => details.open);
    part.innerHTML = content;
    part.querySelectorAll("details").forEach((details, index) => { details.open = !!open[index]; });
    local(part);
    part.dispatchEvent(new CustomEvent("content", { bubbles: true }));
  };
  addEventListener("focusout", () => setTimeout(() => {
    const parts = [...waiting.values()];
    waiting.clear();
    parts.forEach(put);
  }));

  // A page that nobody sees costs nothing.
  let server = null;
  const hear = () => {
    server?.close();
    server = null;
    if (document.visibilityState !== "visible") return;
    server = new EventSource("events");
    server.onopen = () => { note.hidden = true; };
    server.onerror = () => { note.hidden = false; };
    server.onmessage = (message) => JSON.parse(message.data).forEach(put);
  };
  document.addEventListener("visibilitychange", hear);
  hear();
})();
