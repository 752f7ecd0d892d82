// Earlier chats, kept in this browser alone.
const MOST = 30;
const TITLE = 60;

export function earlier(store) {
  const name = `${store}-earlier`;
  const read = () => {
    try {
      return JSON.parse(localStorage.getItem(name)) ?? [];
    } catch {
      return [];
    }
  };
  const write = (chats) => {
    // Images are large: what does not fit any more goes, the oldest first.
    for (let kept = chats.slice(0, MOST); ; kept = kept.slice(0, -1)) {
      try {
        return localStorage.setItem(name, JSON.stringify(kept));
      } catch {
        if (!kept.length) return;
      }
    }
  };
  return {
    titles: () => read().map(title),
    keep: (chat) => write([chat, ...read()]),
    take(number) {
      const chats = read();
      const [taken] = chats.splice(number, 1);
      write(chats);
      return taken;
    },
    forget: () => write([]),
  };
}

function title(chat) {
  const said = chat.models.flatMap((model) => model.messages).find((message) => message.role === "user");
  const content = said?.content ?? "";
  const text = Array.isArray(content) ? content.find((part) => part.type === "text").text : content;
  return text.length > TITLE ? `${text.slice(0, TITLE)}…` : text;
}
