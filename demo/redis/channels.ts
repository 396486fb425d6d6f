import { Observable, Subject } from 'rxjs';
import type { Command } from './command.js';
import { Push, RedisError, type Reply } from './reply.js';

/** What was published, and on which channel. */
export type Published = readonly [channel: string, payload: Reply];

interface Topic {
  /** As messages begin with it: `message news`, `pmessage n*`. */
  readonly key: string;
  readonly command: Command;
  readonly messages: Subject<Published>;
  /** Whether a connection that is lost had it: until then the command is written again. */
  answered: boolean;
}

/** Channels and patterns: the server is asked for each once, for all who subscribe here, and again when the last of them has left. */
export function redisChannels(ask: (command: Command) => Observable<Reply>) {
  const topics = new Map<string, Topic>();
  let restored: Topic[] = [];

  function published(kind: string, verb: string, name: string): Observable<Published> {
    const key = `${kind} ${name}`;
    return new Observable((subscriber) => {
      const topic = topics.get(key) ?? open(key, [verb, name]);
      subscriber.add(topic.messages.subscribe(subscriber));
      return () => {
        if (topic.messages.observed || topics.get(key) !== topic) return;
        topics.delete(key);
        ask([`UN${verb}`, name]).subscribe({ error: () => undefined });
      };
    });
  }

  function open(key: string, command: Command): Topic {
    const topic: Topic = { key, command, messages: new Subject(), answered: false };
    topics.set(key, topic);
    ask(command).subscribe({ next: () => (topic.answered = true), error: (error) => refuse(topic, error) });
    return topic;
  }

  function refuse({ key, messages }: Topic, error: unknown): void {
    topics.delete(key);
    messages.error(error);
  }

  return {
    channel: (name: string) => published('message', 'SUBSCRIBE', name),
    pattern: (name: string) => published('pmessage', 'PSUBSCRIBE', name),
    /** What makes a new connection hear the same. */
    commands: () => (restored = [...topics.values()].filter(({ answered }) => answered)).map(({ command }) => command),
    /** The answer to the next of those: a refusal ends that subscription. */
    answer: (reply: Reply): Reply => {
      const topic = restored.shift();
      if (reply instanceof RedisError && topic !== undefined) refuse(topic, reply);
      return reply;
    },
    /** Takes `[message, channel, payload]` and `[pmessage, pattern, channel, payload]`. */
    hear: (reply: Reply): void => {
      if (!(reply instanceof Push)) return;
      topics.get(`${reply.word(0)} ${reply.word(1)}`)?.messages.next([reply.word(-2), reply.push.at(-1) ?? null]);
    },
    /** No connection follows. */
    end: (error?: unknown): void => {
      for (const { messages } of topics.values())
        if (error === undefined) messages.complete();
        else messages.error(error);
    },
  };
}
