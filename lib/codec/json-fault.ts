/**
 * The offset of the first character that no JSON text has in this place, in characters; the text's length if it ends too early;
 * `undefined` if it is JSON.
 *
 * JSON.parse knows it and mostly does not tell: its messages quote the text instead, which no error of ours may. So this reads a text
 * anew that was refused. It runs at most once for a connection, keeps no recursion, and makes no values.
 */
export function faultIn(text: string): number | undefined {
  const reader = new JsonReader(text);
  return reader.isJson() ? undefined : reader.at;
}

/** Reads on while the text is JSON: what answers `false` has left `at` where it ceases to be. */
class JsonReader {
  at = 0;
  readonly #text: string;
  /** What closes the arrays and objects that are open. */
  readonly #open: (']' | '}')[] = [];

  constructor(text: string) {
    this.#text = text;
  }

  isJson(): boolean {
    do {
      if (!this.#value()) return false;
      while (this.#closes());
      if (this.#open.length === 0) return this.at === this.#text.length;
    } while (this.#takes(',') && this.#keyOfObject());
    return false;
  }

  /** A whole value; or, of an array or object that is not empty, what comes before the first scalar or empty one in it. */
  #value(): boolean {
    for (;;) {
      this.#space();
      const closer = this.#takes('[') ? ']' : this.#takes('{') ? '}' : undefined;
      if (closer === undefined) return this.#scalar();
      this.#open.push(closer);
      if (this.#closes()) return true;
      if (!this.#keyOfObject()) return false;
    }
  }

  #closes(): boolean {
    this.#space();
    const closer = this.#open.at(-1);
    if (closer === undefined || !this.#takes(closer)) return false;
    this.#open.pop();
    return true;
  }

  /** In an array there is nothing to read. */
  #keyOfObject(): boolean {
    if (this.#open.at(-1) === ']') return true;
    this.#space();
    if (!this.#string()) return false;
    this.#space();
    return this.#takes(':');
  }

  #scalar(): boolean {
    switch (this.#text[this.at]) {
      case '"':
        return this.#string();
      case 't':
        return this.#word('true');
      case 'f':
        return this.#word('false');
      case 'n':
        return this.#word('null');
      default:
        return this.#number();
    }
  }

  #string(): boolean {
    if (!this.#takes('"')) return false;
    while (!this.#takes('"')) {
      if (this.#takes('\\') ? !this.#escape() : !this.#takes(TEXT)) return false;
    }
    return true;
  }

  #escape(): boolean {
    if (!this.#takes('u')) return this.#takes(ESCAPED);
    for (let digits = 0; digits < 4; digits++) if (!this.#takes(HEX)) return false;
    return true;
  }

  #number(): boolean {
    this.#takes('-');
    if (!this.#takes('0') && !this.#digits()) return false;
    if (this.#takes('.') && !this.#digits()) return false;
    if (!this.#takes('e') && !this.#takes('E')) return true;
    if (!this.#takes('+')) this.#takes('-');
    return this.#digits();
  }

  #digits(): boolean {
    if (!this.#takes(DIGIT)) return false;
    while (this.#takes(DIGIT));
    return true;
  }

  #word(word: string): boolean {
    for (const letter of word) if (!this.#takes(letter)) return false;
    return true;
  }

  #space(): void {
    while (this.#takes(SPACE));
  }

  /** Steps over the next character if it is this one, or one of this kind. */
  #takes(wanted: string | RegExp): boolean {
    const char = this.#text[this.at];
    if (char === undefined || (typeof wanted === 'string' ? char !== wanted : !wanted.test(char))) return false;
    this.at++;
    return true;
  }
}

const SPACE = /[ \t\n\r]/;
const DIGIT = /[0-9]/;
const HEX = /[0-9a-fA-F]/;
const ESCAPED = /["\\/bfnrt]/;
/** What stands for itself in a string: all but the quote, the backslash and the control characters. */
const TEXT = /[ !#-[\]-\uffff]/;
