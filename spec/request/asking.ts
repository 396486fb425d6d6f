/**
 * Requests in virtual time, over links that a spec plays, and what became of each.
 *
 *     virtualTurns();                                              in a describe: microtasks are virtual too
 *     askInOrder({}, ({ ask, dials, at }) => {
 *       const ping = ask('PING');
 *       at(5, () => dials[0]!.link.chunk('PONG\n'));
 *       at(5, () => expect(ping.ended).to.equal('answered'));
 *     });
 */
import type { TcpSocketConfig } from '../../lib/config.js';
import type { TcpError } from '../../lib/errors.js';
import { correlated } from '../../lib/request/correlated.js';
import { pipelined } from '../../lib/request/pipelined.js';
import type { CorrelatedConfig, PipelinedConfig, RequestOptions } from '../../lib/request/request-config.js';
import type { RequestStats } from '../../lib/request/request-stats.js';
import type { Requests } from '../../lib/request/requests.js';
import type { StayingSocket } from '../../lib/tcp-socket.js';
import { confirmAtOnce, fakeLink, type OnFakeWrite } from '../support/fake-link.js';
import { opens, virtualSocket, type Play, type VirtualStage } from '../support/virtual-socket.js';

/** A request that was made, and what it got so far. */
export interface Answer {
  readonly message: string;
  readonly replies: readonly string[];
  /** `answered`, or the code of its error; `undefined` while it waits, and for ever if it was cancelled. */
  readonly ended: string | undefined;
  readonly error: unknown;
  /** Virtual ms of its end. */
  readonly endedAt: number | undefined;
  cancel(): void;
}

/** What a request does when it hears something. */
export interface Reaction {
  readonly reply?: (reply: string) => void;
  readonly end?: (answer: Answer) => void;
}

/** What a script has in hand. */
export interface Asking extends VirtualStage {
  readonly requests: Requests<string, string>;
  readonly stats: () => RequestStats;
  /** Codes of what the socket's `errors` told. */
  readonly errors: readonly string[];
  /** Frames that were replies to nobody. */
  readonly others: readonly string[];
  /** Makes a request, and writes down what becomes of it. */
  readonly ask: (message: string, options?: RequestOptions<string>, reaction?: Reaction) => Answer;
  /** Lines that the connection at this index, or the newest, was given. */
  readonly wire: (index?: number) => string[];
  /** The peer says something on that connection: each a line. */
  readonly say: (lines: readonly string[], index?: number) => void;
}

/** How it is set. */
export interface AskingConfig<Config> {
  readonly socket?: TcpSocketConfig<string, string>;
  readonly requests?: Config;
  /** What becomes of each dial. @default it opens at once */
  readonly play?: Play;
  /** What becomes of each write. @default it is confirmed at once */
  readonly kernel?: OnFakeWrite;
}

type Script = (asking: Asking) => void;

/** Requests whose replies come in order. Returns when nothing is left to happen, with the virtual ms of that moment. */
export function askInOrder(setting: AskingConfig<PipelinedConfig<string>>, script: Script): number {
  return run(setting, (socket) => pipelined(socket, setting.requests), script);
}

/** Lines such as `7 hello` have the id 7, lines that begin with a star have none, and the line `bad id` has one that cannot be read. */
export const BY_ID: CorrelatedConfig<string, string, string> = {
  assign: (message, id) => `${String(id)} ${message}`,
  idOf: (frame) => {
    if (frame === 'bad id') throw new Error('unreadable');
    return frame.startsWith('*') ? undefined : Number(frame.split(' ')[0]);
  },
};

/** Ids 1, 2, 3, … anew in each spec: the default goes on counting in the whole process. */
export function fromOne(): () => number {
  let newest = 0;
  return () => ++newest;
}

/** Requests whose replies come in any order, with ids from 1 on. */
export function askById(
  setting: AskingConfig<Partial<CorrelatedConfig<string, string, string>>>,
  script: Script,
): number {
  const config = { ...BY_ID, nextId: fromOne(), ...setting.requests };
  return run(setting, (socket) => correlated(socket, config), script);
}

/** Both ways, for what is the same in them: a line to say is the reply to the request with this number, from 1 on. */
export const EITHER = [
  { way: 'in order', start: askInOrder, reply: (_number: number, text: string) => text },
  { way: 'by id', start: askById, reply: (number: number, text: string) => `${number} ${text}` },
] as const;

function run(
  { socket: config = {}, play = opens, kernel = confirmAtOnce }: AskingConfig<unknown>,
  make: (socket: StayingSocket<string, string>) => Requests<string, string>,
  script: Script,
): number {
  const onScene = (stage: VirtualStage): void => {
    const { socket, dials, now } = stage;
    const requests = make(socket);
    const errors: string[] = [];
    const others: string[] = [];
    socket.errors.subscribe(({ code }) => errors.push(code));
    requests.unsolicited.subscribe({ next: (frame) => others.push(frame), error: () => undefined });
    const dialled = (index: number) => dials.at(index)!.link;
    script({
      ...stage,
      ...{ requests, errors, others, stats: () => requests.stats() },
      ask: (message, options, reaction) => asked(requests, message, options, reaction, now),
      wire: (index = -1) => dialled(index).texts.join('').split('\n').slice(0, -1),
      say: (lines, index = -1) => dialled(index).chunk(lines.map((line) => `${line}\n`).join('')),
    });
  };
  return virtualSocket(config, play, onScene, () => fakeLink(kernel));
}

function asked(
  requests: Requests<string, string>,
  message: string,
  options: RequestOptions<string> | undefined,
  { reply, end }: Reaction = {},
  now: () => number,
): Answer {
  const replies: string[] = [];
  const answer = {
    ...{ message, replies },
    ended: undefined as string | undefined,
    error: undefined as unknown,
    endedAt: undefined as number | undefined,
    cancel: () => subscription.unsubscribe(),
  };
  const over = (how: string, error?: unknown): void => {
    // A second end would be written down as one.
    Object.assign(answer, { ended: answer.ended === undefined ? how : `${answer.ended}, ${how}` });
    Object.assign(answer, { error, endedAt: now() });
    end?.(answer);
  };
  const subscription = requests.request(message, options).subscribe({
    next: (frame) => {
      replies.push(frame);
      reply?.(frame);
    },
    error: (error: TcpError) => over(error.code, error),
    complete: () => over('answered'),
  });
  return answer;
}
