import { expect } from 'chai';
import fc from 'fast-check';
import { isFilter, isTopic, matches } from '../../../demo/mqtt/topics.js';
import { holds } from '../../support/property.js';

describe('the topics of MQTT', () => {
  it('are matched by filters level by level', () => {
    const filters: Readonly<Record<string, { readonly yes: readonly string[]; readonly no: readonly string[] }>> = {
      'a/b': { yes: ['a/b'], no: ['a', 'a/b/c', 'A/b', '/a/b', 'a/b/', 'a//b'] },
      '+': { yes: ['a', 'a b'], no: ['/a', 'a/', 'a/b', '$SYS'] },
      'a/+': { yes: ['a/b', 'a/'], no: ['a', 'a/b/c', 'b/a'] },
      '+/+': { yes: ['a/b', '/b', '/'], no: ['a', '/a/b', '$SYS/a'] },
      '/+': { yes: ['/a', '/'], no: ['a', '/a/b'] },
      'a/+/c': { yes: ['a/b/c', 'a//c'], no: ['a/c', 'a/b/c/d'] },
      '#': { yes: ['a', '/', 'a/b/c'], no: ['$SYS', '$SYS/a'] },
      'a/#': { yes: ['a', 'a/', 'a/b', 'a/b/c'], no: ['b', 'ab', '/a'] },
      '+/b/#': { yes: ['a/b', 'a/b/c', '/b'], no: ['a', 'a/c', 'b', '$SYS/b'] },
      '$SYS/#': { yes: ['$SYS', '$SYS/a/b'], no: ['SYS/a', '$sys'] },
      '$SYS/+': { yes: ['$SYS/a'], no: ['$SYS', '$SYS/a/b'] },
    };
    for (const [filter, { yes, no }] of Object.entries(filters)) {
      expect(isFilter(filter), filter).to.equal(true);
      const isMatched = (topic: string) => matches(filter, topic);
      expect([...yes, ...no].filter(isMatched), filter).to.eql(yes);
    }
  });

  it('have no wildcards, and are not empty', () => {
    const sound = ['a', '/', 'a/b', '$SYS', ' ', 'a\nb', '€', '😀'];
    const wrong = ['', 'a+', '+', 'a/#', '\0', '\ud83d', 'a\udc00'];
    expect([...sound, ...wrong].filter(isTopic)).to.eql(sound);
  });

  it('are asked for by filters whose wildcards are levels of their own', () => {
    const sound = ['a', '/', '//', '+', '#', '+/+', '/+/', 'a/+/#', '/#', 'a\nb/#', '$SYS/#'];
    const wrong = ['', 'a+', '+a', '++', '##', '#/', '#/a', 'a#', '/#/', 'a/b#', 'a\0/+', '\ud800/#'];
    expect([...sound, ...wrong].filter(isFilter)).to.eql(sound);
  });

  const level = fc.constantFrom('a', 'b', '', '$', '+', '#');
  const path = fc.array(level, { minLength: 1, maxLength: 4 }).map((levels) => levels.join('/'));
  holds('agree with a regular expression on who matches', 2_000, fc.tuple(path, path), ([filter, topic]) => {
    fc.pre(isFilter(filter) && isTopic(topic));
    const pattern = filter
      .replaceAll('$', '\\$')
      .replace(/(^|\/)#$/, (_, before: string) => (before === '' ? '.*' : '(/.*)?'))
      .replaceAll('+', '[^/]*');
    const isTheBrokers = topic.startsWith('$') && /^[+#]/.test(filter);
    expect(matches(filter, topic)).to.equal(!isTheBrokers && new RegExp(`^${pattern}$`).test(topic));
  });

  it('are looked at in time that grows with their length', () => {
    const long = '/'.repeat(65_535);
    expect(isFilter(`${long}+a`)).to.equal(false);
    expect(isFilter(`${'+/'.repeat(30_000)}+#`)).to.equal(false);
    expect(matches('+/'.repeat(30_000), long)).to.equal(false);
  });
});
