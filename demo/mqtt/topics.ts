/** Names of topics, and filters that match them: `+` is any one level, a `#` at the end all levels from there on. */

/** Whether UTF-8 can carry it, and MQTT allows it. */
export const isText = (text: string) => !text.includes('\0') && text.isWellFormed();

/** Whether one can publish to it. */
export const isTopic = (topic: string) => /^[^+#]+$/.test(topic) && isText(topic);

/** Whether one can subscribe to it. */
export const isFilter = (filter: string) => /^(?!$)(([^+#/]*|\+)\/)*([^+#/]*|[+#])$/.test(filter) && isText(filter);

/** Whether a filter asks for this topic. */
export function matches(filter: string, topic: string): boolean {
  const wanted = filter.split('/');
  const levels = topic.split('/');
  // Topics that begin with $ are the broker's own: no wildcard stands for that.
  if (topic.startsWith('$') && wanted[0] !== levels[0]) return false;
  const open = wanted.at(-1) === '#';
  if (open) wanted.pop(); // and `a/#` asks for `a` too
  if (open ? levels.length < wanted.length : levels.length !== wanted.length) return false;
  return wanted.every((level, i) => level === '+' || level === levels[i]);
}
