// Answers every message after a breakpoint. It is a worker of its own so that a debugger that stops here stops nothing else,
// and a file that no build step touches, because build steps take `debugger` away.
addEventListener("message", () => {
  // biome-ignore lint/suspicious/noDebugger: this is what the file is for.
  debugger;
  postMessage("");
});
postMessage("ready");
