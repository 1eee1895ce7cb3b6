// A terminal inside an allocation: a ticket from the door, then a WebSocket. Bytes go as binary messages, the rest as
// JSON. Neither side sends more than a window ahead of what the other has taken, so that a flood stays out of memory.
const OUT_WINDOW = 262_144;
const IN_CHUNK = 16_384;
const RESIZE_MS = 60;
const LIGHT = {
  background: "#ffffff", foreground: "#1b2430", cursor: "#0559b0", cursorAccent: "#ffffff", selectionBackground: "#b9d6f7",
  black: "#1b2430", red: "#b01d1d", green: "#17692a", yellow: "#8a5a00", blue: "#0559b0", magenta: "#86198f", cyan: "#0b6b78", white: "#4b5563",
  brightBlack: "#5b6472", brightRed: "#c92a2a", brightGreen: "#1f7a34", brightYellow: "#9a6700", brightBlue: "#1668c7", brightMagenta: "#a21caf", brightCyan: "#0e7490", brightWhite: "#1b2430",
};
const DARK = {
  background: "#0b1220", foreground: "#d6deeb", cursor: "#79b8ff", cursorAccent: "#0b1220", selectionBackground: "#2c4a70",
  black: "#2c333d", red: "#ff8080", green: "#6fd986", yellow: "#ffcb6b", blue: "#79b8ff", magenta: "#d6a3ff", cyan: "#67d4e0", white: "#d6deeb",
  brightBlack: "#8a94a6", brightRed: "#ff9b9b", brightGreen: "#93e6a5", brightYellow: "#ffe08a", brightBlue: "#a3cfff", brightMagenta: "#e5c4ff", brightCyan: "#9be7ef", brightWhite: "#ffffff",
};
const PRESSES = { Esc: "\x1b", Tab: "\t", "Ctrl+C": "\x03", "Ctrl+D": "\x04", "↑": "\x1b[A", "↓": "\x1b[B" };

const byId = (id) => document.getElementById(id);
const box = byId("terminal");
const encoder = new TextEncoder();
const palette = () => (document.documentElement.getAttribute("data-bs-theme") === "dark" ? DARK : LIGHT);
const small = window.matchMedia("(max-width: 600px)").matches;
const term = new window.Terminal({
  allowProposedApi: true,
  fontFamily: getComputedStyle(document.documentElement).getPropertyValue("--dms-mono").trim() || "monospace",
  fontSize: small ? 12 : 14,
  scrollback: 5000,
  theme: palette(),
});
const fit = new window.FitAddon.FitAddon();
term.loadAddon(fit);
term.loadAddon(new window.Unicode11Addon.Unicode11Addon());
term.unicode.activeVersion = "11";
term.open(box);
fit.fit();

let socket = null;
let window_ = 0;
let onTheWay = 0;
let queue = [];
let over = true;

function state(word, colour) {
  byId("terminal-state").textContent = word;
  byId("terminal-state").className = `state state-${colour}`;
}

function problem(text) {
  byId("terminal-problem").hidden = !text;
  byId("terminal-problem").querySelector("div").textContent = text;
}

function note(text) {
  term.write(`\r\n\x1b[0;7m ${text.replace(/[\x00-\x1f\x7f-\x9f]/g, " ")} \x1b[0m\r\n`);
}

function buttons(connected) {
  byId("terminal-end").hidden = !connected;
  byId("terminal-connect").hidden = connected;
}

function tell(message) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

// What is typed or pasted waits here until the command has taken what came before.
function flush() {
  while (queue.length && socket?.readyState === WebSocket.OPEN && window_) {
    const chunk = queue[0].subarray(0, Math.min(IN_CHUNK, window_ - onTheWay));
    if (!chunk.length) return;
    socket.send(chunk);
    onTheWay += chunk.length;
    if (chunk.length === queue[0].length) queue.shift();
    else queue[0] = queue[0].subarray(chunk.length);
  }
}

function type(bytes) {
  if (over) return;
  queue.push(bytes);
  flush();
}

function ended(word, colour, text) {
  if (over) return;
  over = true;
  queue = [];
  state(word, colour);
  note(text);
  buttons(false);
  byId("terminal-connect").querySelector("span").textContent = "New shell";
  if (box.contains(document.activeElement) || document.activeElement === document.body) byId("terminal-connect").focus();
}

function heard(message) {
  if (message.started) {
    window_ = message.started.window;
    state("connected", "green");
    flush();
  } else if (message.taken) {
    onTheWay -= message.taken;
    flush();
  } else if (message.error) {
    const text = [message.error.detail, message.error.hint].filter(Boolean).join(". ");
    problem(text);
    ended(message.error.title || "ended", "red", text);
  } else if (message.exit !== undefined) {
    const why = message.reason ? `, ${message.reason.replaceAll("_", " ")}` : "";
    ended(`exit code ${message.exit}`, message.exit ? "orange" : "grey", `ended: exit code ${message.exit}${why}`);
  }
}

async function ticket() {
  const answer = await fetch(box.dataset.door, {
    method: "POST",
    credentials: "same-origin",
    headers: { "Content-Type": "application/json", "X-CSRFToken": box.dataset.csrf },
    body: JSON.stringify({
      EnsembleID: box.dataset.deployment, AllocationName: box.dataset.allocation, TTY: true, Rows: term.rows, Columns: term.cols,
    }),
  });
  const document_ = await answer.json();
  if (!answer.ok) throw new Error([document_.detail, document_.hint].filter(Boolean).join(". "));
  return document_.Path;
}

async function connect() {
  problem("");
  state("connecting", "blue");
  byId("terminal-connect").hidden = true;
  let path = "";
  try {
    path = await ticket();
  } catch (error) {
    state("refused", "red");
    problem(error.message);
    buttons(false);
    return;
  }
  const scheme = window.location.protocol === "https:" ? "wss" : "ws";
  const mine = new WebSocket(`${scheme}://${window.location.host}${path}?window=${OUT_WINDOW}`);
  mine.binaryType = "arraybuffer";
  socket = mine;
  window_ = 0;
  onTheWay = 0;
  queue = [];
  over = false;
  term.reset();
  buttons(true);
  term.focus();
  mine.addEventListener("message", (event) => {
    if (mine !== socket) return;
    if (typeof event.data === "string") {
      heard(JSON.parse(event.data));
    } else {
      const size = event.data.byteLength;
      term.write(new Uint8Array(event.data), () => { if (mine === socket) tell({ shown: size }); });
    }
  });
  mine.addEventListener("close", () => {
    if (mine === socket) ended("connection lost", "orange", "the connection was lost, and the shell ended with it");
  });
}

term.onData((text) => type(encoder.encode(text)));
term.onBinary((text) => type(Uint8Array.from(text, (letter) => letter.charCodeAt(0))));
term.onResize(({ rows, cols }) => tell({ resize: [rows, cols] }));

term.attachCustomKeyEventHandler((event) => {
  if (!event.ctrlKey || !event.shiftKey) return true;
  if (event.code === "KeyX") {
    if (event.type === "keydown") {
      event.preventDefault();
      (over ? byId("terminal-connect") : byId("terminal-end")).focus();
    }
    return false;
  }
  if (event.code === "KeyC") {
    if (event.type === "keydown") {
      event.preventDefault();
      copySelection();
    }
    return false;
  }
  return event.code !== "KeyV"; // the browser pastes
});

async function copySelection() {
  const text = term.getSelection();
  if (!text) {
    byId("said").textContent = "Nothing is selected";
    return;
  }
  try {
    await navigator.clipboard.writeText(text);
    byId("said").textContent = "Copied";
  } catch {
    problem("The browser does not let this page copy; use its own menu.");
  }
}

byId("terminal-copy").addEventListener("click", async () => {
  await copySelection();
  term.focus();
});
byId("terminal-paste").addEventListener("click", async () => {
  try {
    term.paste(await navigator.clipboard.readText());
  } catch {
    problem("The browser does not let this page read the clipboard; press Ctrl+Shift+V in the terminal.");
  }
  term.focus();
});
byId("terminal-reader").addEventListener("click", (event) => {
  const wanted = !term.options.screenReaderMode;
  term.options.screenReaderMode = wanted;
  event.currentTarget.setAttribute("aria-pressed", String(wanted));
});
for (const key of document.querySelectorAll("[data-press]")) {
  key.addEventListener("click", () => {
    type(encoder.encode(PRESSES[key.dataset.press]));
    term.focus();
  });
}
byId("terminal-connect").addEventListener("click", connect);
byId("terminal-end").addEventListener("click", () => {
  const mine = socket;
  ended("ended", "grey", "ended by you");
  mine?.close();
});
document.addEventListener("dms:theme", () => { term.options.theme = palette(); });

let resizing = 0;
new ResizeObserver(() => {
  clearTimeout(resizing);
  resizing = setTimeout(() => fit.fit(), RESIZE_MS);
}).observe(box);

// Read by tests: what the screen shows, and how large it is.
box.dataset.ready = "yes";
window.dmsTerminal = {
  text: () => Array.from({ length: term.buffer.active.length }, (_, row) => term.buffer.active.getLine(row).translateToString(true)).join("\n"),
  size: () => [term.rows, term.cols],
};
connect();
