/** Reasons in the page's language, for a severity and for a question: the desk tells them in English. */

import { lang } from "./i18n.js";

const QUESTIONS = {
  unsure: "模型拿不准",
  disagreement: "对实体的判定与全文不一致",
  conflict: "标注员意见不一",
  second: "还需要一人标注",
  drift: "此类帖子近来有变化",
  copies: "许多帖子与其雷同",
};

const CHINESE = [
  [/^(\d+|no) independent voices? (?:deny|denies) it\.$/, (voices) => `${voices.replace("no", "0")} 个独立信源否认。`],
  [/^(\d+|no) independent voices? reports? it\.$/, (voices) => `${voices.replace("no", "0")} 个独立信源报道。`],
  [
    /^Only (\d+|no) independent voices? reports? it so far\.$/,
    (voices) => `目前只有 ${voices.replace("no", "0")} 个独立信源报道。`,
  ],
  [
    /^Copies of one story are (\d+) of (\d+) posts\.$/,
    (copies, posts) => `${posts} 条帖子中有 ${copies} 条转述同一内容。`,
  ],
  [
    /^The surprise of ([\d.]+) is at least twice the ([\d.]+) that opens an alert\.$/,
    (surprise, threshold) => `意外程度 ${surprise}，至少为触发阈值 ${threshold} 的两倍。`,
  ],
  [/^It has lasted ([\d.]+) windows\.$/, (windows) => `已持续 ${windows} 个窗口。`],
];

/** Return a reason, and the language that it is in. */
export function toldReason(reason) {
  if (lang() === "zh") {
    for (const [pattern, told] of CHINESE) {
      const match = pattern.exec(reason);
      if (match) return { text: told(...match.slice(1)), in: "zh" };
    }
  }
  return { text: reason, in: "en" };
}

/** Return why a question is asked, and the language that it is in; the whole of it on hover. */
export function toldQuestion({ kind, text }) {
  const chinese = lang() === "zh" ? QUESTIONS[kind] : undefined;
  return chinese ? { text: chinese, in: "zh", title: text } : { text, in: "en", title: null };
}
