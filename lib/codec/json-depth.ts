const QUOTE = 34;
const BACKSLASH = 92;
/** Of `[` and `{`, and of `]` and `}`, once the one bit that tells the two apart is set. */
const OPENING = 123;
const CLOSING = 125;
const APART = 32;

/**
 * Whether arrays and objects nest deeper than `max` in a JSON text, found out in one pass and without parsing it.
 *
 * Most texts are never walked: a short one could not close as many as it had to open, and in most others a search for opening
 * brackets finds too few of them, at a tenth of what JSON.parse costs. The walk costs a third of it. Of a text that is not JSON any answer will do,
 * since JSON.parse has no recursion to run out of, and is about to refuse it.
 */
export function nestsDeeper(text: string, max: number): boolean {
  return text.length > 2 * max + 1 && opensMore(text, max) && goesDeeper(text, max);
}

/** Whether more than `max` brackets open at all, those within strings included. */
function opensMore(text: string, max: number): boolean {
  let count = 0;
  for (const bracket of ['[', '{']) {
    for (let at = text.indexOf(bracket); at !== -1; at = text.indexOf(bracket, at + 1)) {
      if (++count > max) return true;
    }
  }
  return false;
}

function goesDeeper(text: string, max: number): boolean {
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const char = text.charCodeAt(at);
    if (char === QUOTE) at = endOfString(text, at);
    else if ((char | APART) === OPENING) {
      if (++depth > max) return true;
    } else if ((char | APART) === CLOSING) depth--;
  }
  return false;
}

/** Where the string ends that begins at `from`. Most have no escaped quote, and a search for the first quote finds the end. */
function endOfString(text: string, from: number): number {
  let at = text.indexOf('"', from + 1);
  if (at === -1) return text.length;
  let before = at - 1;
  while (text.charCodeAt(before) === BACKSLASH) before--;
  if ((at - before) % 2 === 1) return at; // backslashes in pairs escape each other
  for (at++; at < text.length; at++) {
    const char = text.charCodeAt(at);
    if (char === QUOTE) return at;
    if (char === BACKSLASH) at++;
  }
  return at;
}
