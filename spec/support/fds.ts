/** The file descriptors of this process: what the kernel holds for it, whatever Node says. */
import { readdirSync, readlinkSync } from 'node:fs';

/** How many sockets the kernel holds for this process now. */
export function socketFds(): number {
  return readdirSync('/proc/self/fd').filter((fd) => targetOf(fd).startsWith('socket:')).length;
}

/** The descriptor of the listing itself is in the list, and closed by now. */
function targetOf(fd: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return '';
  }
}
