// What the page is made of: its elements by name, and what it says in passing.

/** An element of index.html. */
export function element<Kind extends HTMLElement = HTMLElement>(id: string): Kind {
  const found = document.getElementById(id);
  if (!found) throw new Error(`expected an element #${id} in index.html`);
  return found as Kind;
}

const SAID_FOR = 8000; // milliseconds

/** Say something in the corner, with something to do about it if there is. */
export function say(title: string, text: string, bad = false, action?: { label: string; run: () => void }): void {
  const toast = document.createElement("div");
  toast.className = bad ? "toast bad" : "toast";
  const [head, body] = [document.createElement("b"), document.createElement("p")];
  head.textContent = title;
  body.textContent = text;
  toast.append(head, body);
  if (action) {
    const button = document.createElement("button");
    button.textContent = action.label;
    button.onclick = () => {
      toast.remove();
      action.run();
    };
    toast.append(button);
  }
  element("toasts").append(toast);
  setTimeout(() => toast.remove(), SAID_FOR);
}
