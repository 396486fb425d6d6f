import { expect } from 'chai';
import { ConfigError } from '../../lib/errors.js';

/** The message of the ConfigError that this call throws. */
export function refusal(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    expect(error).to.be.instanceOf(ConfigError);
    return (error as ConfigError).message;
  }
  throw new Error('it was taken');
}
