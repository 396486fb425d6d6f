/** An app: three readers and a writer share one socket, a view shows them live, and their server fails three times. */
import { bufferTime, catchError, debounceTime, EMPTY, filter, firstValueFrom, interval, scan, timer } from 'rxjs';
import { tcpSocket } from '../lib/index.js';
import { exchange, json, type Order, type Trade } from './reactive-app/exchange.js';
import { bars, liveView } from './reactive-app/live-view.js';

export async function run(print: (line: string) => void = console.log): Promise<void> {
  const { port, made, faults, endTrading, close } = await exchange();
  const socket = tcpSocket({ host: 'localhost', port, codec: json<Trade, Order>(), reconnect: { maxDelay: 500 } });
  const now = { status: '', rates: [0], total: 0, alert: 'none' };
  socket.status.subscribe(({ type }) => (now.status = type));

  // All of them read one stream over all connections. Should it end with an error, `errors` has told it.
  const trades = socket.inbound.pipe(catchError(() => EMPTY));
  trades.pipe(bufferTime(250)).subscribe(({ length }) => (now.rates = [...now.rates.slice(-31), length * 4]));
  trades.pipe(scan((sum, { shares }) => sum + shares, 0)).subscribe((total) => (now.total = total));
  trades.pipe(filter(({ shares }) => shares > 97)).subscribe(({ no }) => (now.alert = `trade ${no} is large`));

  const view = liveView(() => {
    const { epoch, dials, framesRead, framesWritten, framesRetried, queuedFrames } = socket.stats();
    return [
      `status  ${now.status}, connection ${epoch}, dial ${dials}`,
      `trades  ${bars(now.rates, 60)} ${now.rates.at(-1) ?? 0} a second`,
      `total   ${now.total} shares in ${framesRead} trades`,
      `alert   ${now.alert}`,
      `orders  ${framesWritten} written, ${framesRetried} again, ${queuedFrames} queued`,
    ];
  }, print);
  socket.errors.subscribe(({ message }) => view.log(`   ${message}`));

  const acting = interval(40).subscribe((i) => socket.outbound.next({ no: i + 1 }));
  // A peer that says nothing may be gone: dial again.
  const redial = () => {
    view.log('   silence: dialling again');
    socket.redial();
  };
  acting.add(trades.pipe(debounceTime(500)).subscribe(redial));

  for (const [what, inject] of Object.entries(faults)) {
    await firstValueFrom(timer(1_000));
    await firstValueFrom(trades); // so there is a connection
    view.log(`-- the exchange ${what}`);
    const { epoch } = socket.stats();
    await inject();
    await firstValueFrom(socket.connections.pipe(filter((connection) => connection.epoch > epoch)));
  }
  await firstValueFrom(timer(1_000));

  acting.unsubscribe();
  endTrading();
  await socket.end();
  await close();
  view.close();
  const { framesRead, framesWritten } = socket.stats();
  const [missed, lost] = [made.trades - framesRead, framesWritten - new Set(made.orders).size];
  print(`${made.trades} trades made, ${framesRead} seen: ${missed} while the exchange could not tell us`);
  print(`${framesWritten} orders written, ${lost} lost: the kernel took them for an exchange that did not read them`);
}
