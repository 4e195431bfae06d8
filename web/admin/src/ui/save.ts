/** Hands a file to the browser, as if a link to it had been followed: for what must be asked for before it comes. */
export function saveFile(content: Blob, name: string): void {
  const url = URL.createObjectURL(content);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  // The browser has taken it when the click returns; what is behind the address may go a moment later.
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
