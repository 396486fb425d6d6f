/**
 * The architecture as rules. Each rule is a function from the modules of a tree to what is wrong with them; each is run
 * on lib/, and once on a small tree that breaks it, to prove that it can fail.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { expect } from 'chai';
import ts from 'typescript';

/**
 * From the ground up. A unit (a folder of lib/, or a file beside the folders) imports from itself and from the rows
 * above its own, never from its own row or below. Only the type imports of `config` may name any row.
 */
const LAYERS: readonly (readonly string[])[] = [
  ['endpoint', 'deque', 'turn', 'clock', 'on-abort', 'quiet', 'unref-scheduler'],
  ['error-base', 'idle-timer'],
  ['errors'],
  ['as-error'],
  ['check'],
  ['codec'],
  ['config'],
  ['resolve-endpoint', 'resolve-tls'],
  ['resolve-config'],
  ['resolve-server', 'connection'],
  ['inbound', 'outbound', 'monitor'],
  ['framed', 'socket', 'streets'],
  ['flow', 'handshake'],
  ['connect', 'served'],
  ['lifeline', 'server'],
  ['tcp-socket', 'tcp-server'],
  ['duplex', 'request', 'echo-server', 'proxy'],
  ['index'],
];

/** What users import: `rx-tcp` and `rx-tcp/proxy`. */
const ENTRIES: readonly string[] = ['index.ts', 'proxy.ts'];

const MAX_CODE_LINES = 180;
const LISTENING = ['on', 'once', 'off', 'addListener', 'removeListener', 'prependListener', 'prependOnceListener'];
/** Who beside connection/from-socket.ts listens, and to what: to a server, and to what TLS adds to a socket. */
const LISTENERS: Readonly<Record<string, readonly string[]>> = {
  'tcp-server.ts': ['listening', 'connection', 'drop', 'error', 'close'],
  'connection/secure.ts': ['session', 'secureConnect', 'secureConnection', 'tlsClientError', 'close'],
};

/** Paths relative to lib/, such as `inbound/gate.ts`, and their texts. */
type Tree = Readonly<Record<string, string>>;

interface Import {
  /** As written: `rxjs`, `node:net`, `./gate.js`. */
  readonly from: string;
  /** The path in the tree, for a relative one. */
  readonly path: string | undefined;
  readonly typeOnly: boolean;
}

interface Module {
  readonly path: string;
  readonly file: ts.SourceFile;
  readonly imports: readonly Import[];
}

type Rule = (modules: readonly Module[]) => string[];

// ---- the rules

const goOneWay: Rule = eachImport((module, { path, typeOnly }) => {
  const [unit, target] = [unitOf(module.path), path === undefined ? undefined : unitOf(path)];
  if (target === undefined || target === unit || levelOf(unit) < 0 || (unit === 'config' && typeOnly)) return undefined;
  return levelOf(target) < levelOf(unit) ? undefined : `${unit} must not import ${target}`;
});

const haveALayer: Rule = each(({ path }) =>
  levelOf(unitOf(path)) < 0 ? [`${path}: ${unitOf(path)} is not in the table of layers`] : [],
);

const keepTheStreetsApart: Rule = eachImport((module, { path }) => {
  const pair = [unitOf(module.path), unitOf(path ?? '')].sort().join();
  return pair === 'inbound,outbound' ? 'the two streets meet' : undefined;
});

const haveNoCycle: Rule = (modules) => {
  const byPath = new Map(modules.map((module) => [module.path, module]));
  const done = new Set<string>();
  const found: string[] = [];
  const visit = (module: Module, trail: readonly string[]): void => {
    const at = trail.indexOf(module.path);
    if (at >= 0) found.push([...trail.slice(at), module.path].join(' -> '));
    if (at >= 0 || done.has(module.path)) return;
    for (const { path } of module.imports) {
      const next = path === undefined ? undefined : byPath.get(path);
      if (next !== undefined) visit(next, [...trail, module.path]);
    }
    done.add(module.path);
  };
  for (const module of modules) visit(module, []);
  return found;
};

const haveTellingNames: Rule = each(({ path }) => {
  const vague = /(^|\/)(utils?|helpers?|common|misc)(\/|\.ts$)/.test(path) || /(^|\/)types\.ts$/.test(path);
  const kebab = /^([a-z0-9]+(-[a-z0-9]+)*\/)*[a-z0-9]+(-[a-z0-9]+)*\.ts$/.test(path);
  return [...(vague ? [`${path}: a name that says nothing`] : []), ...(kebab ? [] : [`${path}: not kebab-case`])];
});

const keepCodecsPure: Rule = eachImport((module, { from }) => {
  const impure = /^rxjs(\/|$)/.test(from) || /^(node:)?(net|tls|stream|timers|events)(\/|$)/.test(from);
  return unitOf(module.path) === 'codec' && impure ? `a codec must not import ${from}` : undefined;
});

const listenInOnePlace: Rule = each(({ path, file }) => {
  // What speaks to a proxy is a dial of the user's, and not of the house.
  if (path === 'connection/from-socket.ts' || unitOf(path) === 'proxy') return [];
  return nodesOf(file).flatMap((node) => {
    const event = ts.isCallExpression(node) ? eventOf(node) : undefined;
    if (event === undefined || LISTENERS[path]?.includes(event) === true) return [];
    return [`${path}: listens for '${event}'`];
  });
});

/** Optional peers, each for one unit, which loads it when it is used. */
const OPTIONAL: Readonly<Record<string, string>> = { socks: 'proxy' };

const dependOnRxjsAlone: Rule = eachImport((module, { from, path }) => {
  const known = path !== undefined || from === 'rxjs' || from.startsWith('node:');
  return known || OPTIONAL[from] === unitOf(module.path) ? undefined : `must not import ${from}`;
});

const loadOptionalPeersLate: Rule = each(({ path, file }) =>
  file.statements
    .filter((node) => ts.isImportDeclaration(node) && node.importClause?.phaseModifier !== ts.SyntaxKind.TypeKeyword)
    .map((node) => ((node as ts.ImportDeclaration).moduleSpecifier as ts.StringLiteral).text)
    .filter((from) => from in OPTIONAL)
    .map((from) => `${path}: loads ${from} before it is used`),
);

const useNoInternalsOfRxjs: Rule = each(({ path, file, imports }) => [
  ...imports
    .filter(({ from }) => /^rxjs\/(internal|dist|src)/.test(from))
    .map(({ from }) => `${path}: imports ${from}`),
  ...nodesOf(file)
    .filter((node) => ts.isPropertyAccessExpression(node) && node.name.text === 'lift')
    .map(() => `${path}: uses lift`),
]);

const extendNoSubject: Rule = each(({ path, file }) =>
  nodesOf(file)
    .filter((node) => ts.isHeritageClause(node) && node.token === ts.SyntaxKind.ExtendsKeyword)
    .filter((node) => ts.isClassLike(node.parent))
    .map((node) => (node as ts.HeritageClause).types[0]?.expression.getText(file) ?? '')
    .filter((base) => /(^|\.)(Behavior|Replay|Async|Anonymous)?Subject$/.test(base))
    .map((base) => `${path}: extends ${base}`),
);

const exportByName: Rule = each(({ path, file }) =>
  nodesOf(file)
    .filter(
      (node) =>
        ts.isExportAssignment(node) ||
        (node.kind === ts.SyntaxKind.DefaultKeyword && ts.canHaveModifiers(node.parent)) ||
        (ts.isExportSpecifier(node) && node.name.text === 'default'),
    )
    .map(() => `${path}: has a default export`),
);

const reExportInIndexOnly: Rule = each(({ path, file }) => {
  const isReExport = (node: ts.Statement): boolean =>
    ts.isExportDeclaration(node) && node.moduleSpecifier !== undefined;
  if (ENTRIES.includes(path)) return file.statements.every(isReExport) ? [] : [`${path}: has more than re-exports`];
  if (path === 'errors.ts') return []; // the one door to the family: its words stand in error-base.ts and endpoint.ts
  return file.statements.some(isReExport) ? [`${path}: re-exports; only an entry may`] : [];
});

const documentExports: Rule = each(({ path, file }) => {
  if (ENTRIES.includes(path)) return [];
  const exported = exportsOf(file);
  if (exported.length === 0) return [`${path}: exports nothing`];
  const documented = exported.filter(({ node }) => isDocumented(node, file));
  return exported
    .filter(({ node }) => !documented.some((other) => other.node === node || isOverload(other.node, node)))
    .map(({ name }) => `${path}: ${name} has no doc comment`);
});

const stayShort: Rule = each(({ path, file }) => {
  const lines = codeLinesOf(file);
  return lines <= MAX_CODE_LINES ? [] : [`${path}: ${lines} code lines, more than ${MAX_CODE_LINES}`];
});

// ---- the specs

describe('the architecture', () => {
  const lib = parse(readTree(new URL('../lib/', import.meta.url)));

  /** Proves that a rule finds what it is for, then that lib/ has none of it. */
  function holds(title: string, rule: Rule, broken: Tree, faults: readonly string[]): void {
    it(title, () => expect(rule(lib)).to.eql([]));
    it(`${title} (and a tree that does not is found out)`, () => expect(rule(parse(broken))).to.eql(faults));
  }

  holds(
    'imports go one way, from the surface down to the errors',
    goOneWay,
    {
      'check.ts': `import { a } from './errors.js'; import type { b } from './config.js';`,
      'codec/lines.ts': `import './codec.js'; import '../check.js'; import { type c } from '../connection/link.js';`,
      'config.ts': `import type { A } from './framed.js'; import { b } from './framed.js'; import { c } from './codec/x.js';`,
      'inbound/gate.ts': `import '../monitor/stats.js'; import '../config.js'; import 'rxjs'; let x: import('../index.js').A;`,
      'tcp-socket.ts': `import './framed.js'; export * from './tcp-server.js'; await import('./duplex.js');`,
      'index.ts': `export * from './tcp-socket.js'; export { x } from './errors.js';`,
    },
    [
      'check.ts: check must not import config',
      'codec/lines.ts: codec must not import connection',
      'config.ts: config must not import framed',
      'inbound/gate.ts: inbound must not import monitor',
      'inbound/gate.ts: inbound must not import index',
      'tcp-socket.ts: tcp-socket must not import tcp-server',
      'tcp-socket.ts: tcp-socket must not import duplex',
    ],
  );

  holds('every file has its layer', haveALayer, { 'errors.ts': '', 'extra/thing.ts': '', 'stray.ts': '' }, [
    'extra/thing.ts: extra is not in the table of layers',
    'stray.ts: stray is not in the table of layers',
  ]);

  holds(
    'inbound and outbound never meet',
    keepTheStreetsApart,
    {
      'inbound/gate.ts': `import type { Q } from '../outbound/write-queue.js'; import './decode.js';`,
      'outbound/write-to.ts': `import { g } from '../inbound/gate.js';`,
    },
    ['inbound/gate.ts: the two streets meet', 'outbound/write-to.ts: the two streets meet'],
  );

  holds(
    'no file imports itself by way of others, not even a type',
    haveNoCycle,
    {
      'a.ts': `import { b } from './b.js';`,
      'b.ts': `import type { c } from './c.js'; import './d.js';`,
      'c.ts': `import { a } from './a.js'; import './d.js';`,
      'd.ts': `import './e.js';`,
      'e.ts': '',
    },
    ['a.ts -> b.ts -> c.ts -> a.ts'],
  );

  holds(
    'file names are kebab-case and say something',
    haveTellingNames,
    { 'util/x.ts': '', 'codec/types.ts': '', 'inbound/utils.ts': '', 'writeQueue.ts': '', 'codec/line-types.ts': '' },
    [
      'util/x.ts: a name that says nothing',
      'codec/types.ts: a name that says nothing',
      'inbound/utils.ts: a name that says nothing',
      'writeQueue.ts: not kebab-case',
    ],
  );

  holds(
    'codecs know neither Rx nor sockets',
    keepCodecsPure,
    {
      'codec/a.ts': `import { map } from 'rxjs'; import type { Socket } from 'node:net'; import 'node:string_decoder';`,
      'inbound/b.ts': `import { map } from 'rxjs';`,
    },
    ['codec/a.ts: a codec must not import rxjs', 'codec/a.ts: a codec must not import node:net'],
  );

  holds(
    'connection/from-socket.ts alone names socket events, others those of a server and of TLS',
    listenInOnePlace,
    {
      'connection/from-socket.ts': `socket.on('data', f);`,
      'connection/dial.ts': `socket.once('connect', f); subject.on(name, f); signal.addEventListener('abort', f);`,
      'tcp-server.ts': `server.on('connection', f); socket.off('data', f);`,
      'duplex.ts': `fromEvent(socket, 'end'); duplex.emit('connect'); s?.addListener(\`drain\`, f); once(s, 'open');`,
    },
    [
      "connection/dial.ts: listens for 'connect'",
      "tcp-server.ts: listens for 'data'",
      "duplex.ts: listens for 'end'",
      "duplex.ts: listens for 'drain'",
      "duplex.ts: listens for 'open'",
    ],
  );

  holds(
    'nothing but rxjs and Node is needed at run time',
    dependOnRxjsAlone,
    {
      'a.ts': `import 'rxjs'; import 'node:net'; import 'net'; import 'lodash'; import 'rxjs/operators'; import './b.js';`,
    },
    ['a.ts: must not import net', 'a.ts: must not import lodash', 'a.ts: must not import rxjs/operators'],
  );

  holds(
    'what only some need is loaded when it is used',
    loadOptionalPeersLate,
    {
      'proxy/a.ts': `import type { SocksClient } from 'socks'; const { SocksClient } = await import('socks');`,
      'proxy/b.ts': `import { SocksClient } from 'socks'; import * as net from 'node:net';`,
    },
    ['proxy/b.ts: loads socks before it is used'],
  );

  holds(
    'no internals of rxjs and no lift are used',
    useNoInternalsOfRxjs,
    { 'a.ts': `import { x } from 'rxjs/internal/Subject'; source.lift(op); // source.lift(op)`, 'b.ts': `f.uplift();` },
    ['a.ts: imports rxjs/internal/Subject', 'a.ts: uses lift'],
  );

  holds(
    'no class extends a Subject',
    extendNoSubject,
    {
      'a.ts': `class A extends Subject<number> {} const B = class extends rx.BehaviorSubject {};`,
      'b.ts': `class C extends ReplaySubject {} class D extends Error implements Subject {} interface E extends Subject {}`,
    },
    ['a.ts: extends Subject', 'a.ts: extends rx.BehaviorSubject', 'b.ts: extends ReplaySubject'],
  );

  holds(
    'exports have names',
    exportByName,
    {
      'a.ts': `export default 1;`,
      'b.ts': `export default function b() {}`,
      'c.ts': `const c = 1; export { c as default }; switch (c) { default: }`,
      'd.ts': `export const d = 1; switch (d) { default: }`,
    },
    ['a.ts: has a default export', 'b.ts: has a default export', 'c.ts: has a default export'],
  );

  holds(
    'index.ts and proxy.ts re-export and have no logic; no other file re-exports',
    reExportInIndexOnly,
    {
      'index.ts': `export { a } from './a.js'; export const b = 1;`,
      'a.ts': `export * from './b.js';`,
      'b.ts': 'let b;',
    },
    ['index.ts: has more than re-exports', 'a.ts: re-exports; only an entry may'],
  );

  holds(
    'every file exports something, and every export has a doc comment',
    documentExports,
    {
      'a.ts': `/** Says it. */ export function a(x: 1): 1;\nexport function a(x: 2): 2;\nexport function a(x: any) { return x; }`,
      'b.ts': `/** A file. */\nimport './a.js';\n/* no doc */ export interface B {}\n/** */ export type C = 1;`,
      'c.ts': `/** Says it. */ export const d = 1, e = 2;\nconst f = 1;\nexport { f as g };\nexport class H {}`,
      'd.ts': `/** Kept to itself. */ function i() {}`,
    },
    [
      'b.ts: B has no doc comment',
      'b.ts: C has no doc comment',
      'c.ts: f has no doc comment',
      'c.ts: H has no doc comment',
      'd.ts: exports nothing',
    ],
  );

  holds(
    `no file has more than ${MAX_CODE_LINES} code lines`,
    stayShort,
    {
      'long.ts': 'f(\n);\n'.repeat(91),
      'commented.ts': `/** Doc. */\n// why\n\n${'f(`\n`); /* why */\n'.repeat(90)}`,
      'template.ts': `f(\`${'\n'.repeat(180)}\`);`,
    },
    ['long.ts: 182 code lines, more than 180', 'template.ts: 181 code lines, more than 180'],
  );
});

// ---- reading a tree

function readTree(root: URL): Tree {
  const paths = readdirSync(root, { recursive: true, encoding: 'utf8' }).map((path) => path.replaceAll('\\', '/'));
  const sources = paths.filter((path) => path.endsWith('.ts')).sort();
  return Object.fromEntries(sources.map((path) => [path, readFileSync(new URL(path, root), 'utf8')]));
}

function parse(tree: Tree): Module[] {
  return Object.entries(tree).map(([path, text]) => {
    const file = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
    const imports = nodesOf(file).flatMap((node) => importOf(node, path));
    return { path, file, imports };
  });
}

function importOf(node: ts.Node, path: string): Import[] {
  const specifier = specifierOf(node);
  if (specifier === undefined || !ts.isStringLiteralLike(specifier)) return [];
  const from = specifier.text;
  const target = from.startsWith('.') ? posix.join(posix.dirname(path), from).replace(/\.js$/, '.ts') : undefined;
  return [{ from, path: target, typeOnly: isTypeOnly(node) }];
}

function specifierOf(node: ts.Node): ts.Node | undefined {
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return node.moduleSpecifier;
  if (ts.isImportTypeNode(node)) return ts.isLiteralTypeNode(node.argument) ? node.argument.literal : undefined;
  if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) return node.arguments[0];
  return undefined;
}

/** With `verbatimModuleSyntax`, `import { type T }` stays a run-time import. */
function isTypeOnly(node: ts.Node): boolean {
  if (ts.isImportDeclaration(node)) return node.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword;
  return ts.isImportTypeNode(node) || (ts.isExportDeclaration(node) && node.isTypeOnly);
}

function unitOf(path: string): string {
  return path.split('/')[0]!.replace(/\.ts$/, '');
}

function levelOf(unit: string): number {
  return LAYERS.findIndex((row) => row.includes(unit));
}

// ---- asking a file

function each(check: (module: Module) => string[]): Rule {
  return (modules) => modules.flatMap(check);
}

function eachImport(check: (module: Module, found: Import) => string | undefined): Rule {
  return each((module) =>
    module.imports
      .map((found) => check(module, found))
      .filter((fault) => fault !== undefined)
      .map((fault) => `${module.path}: ${fault}`),
  );
}

function nodesOf(root: ts.Node): ts.Node[] {
  const nodes: ts.Node[] = [];
  const visit = (node: ts.Node): void => {
    nodes.push(node);
    ts.forEachChild(node, visit);
  };
  visit(root);
  return nodes;
}

/** The event of `x.on('event')` and its like, of `once(x, 'event')` and of `fromEvent(x, 'event')`. */
function eventOf({ expression, arguments: [first, second] }: ts.CallExpression): string | undefined {
  const isMethod = ts.isPropertyAccessExpression(expression) && LISTENING.includes(expression.name.text);
  const isFunction = ts.isIdentifier(expression) && ['on', 'once', 'fromEvent'].includes(expression.text);
  const name = isMethod ? first : isFunction ? second : undefined;
  return name !== undefined && ts.isStringLiteralLike(name) ? name.text : undefined;
}

interface Exported {
  readonly name: string;
  readonly node: ts.Statement;
}

function exportsOf(file: ts.SourceFile): Exported[] {
  const declared = file.statements.flatMap((node) => namesOf(node).map((name) => ({ name, node })));
  const listed = file.statements
    .filter((node) => ts.isExportDeclaration(node))
    .flatMap(({ exportClause }) => (exportClause && ts.isNamedExports(exportClause) ? exportClause.elements : []))
    .map((element) => (element.propertyName ?? element.name).text);
  return declared.filter(({ name, node }) => isExported(node) || listed.includes(name));
}

function namesOf(node: ts.Statement): string[] {
  if (ts.isVariableStatement(node)) return node.declarationList.declarations.map(({ name }) => name.getText());
  const name = (node as Partial<ts.NamedDeclaration>).name;
  return name === undefined ? [] : [name.getText()];
}

function isExported(node: ts.Statement): boolean {
  return ts.canHaveModifiers(node) && !!ts.getModifiers(node)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword);
}

function isDocumented(node: ts.Node, file: ts.SourceFile): boolean {
  return ts.getJSDocCommentsAndTags(node).some((doc) => /\w/.test(doc.getText(file)));
}

/** The overloads of a function share the comment of any of them. */
function isOverload(one: ts.Node, other: ts.Node): boolean {
  return ts.isFunctionDeclaration(one) && ts.isFunctionDeclaration(other) && one.name?.text === other.name?.text;
}

/** Lines with at least one token on them; a template's lines are its own. */
function codeLinesOf(file: ts.SourceFile): number {
  const lines = new Set<number>();
  const visit = (node: ts.Node): void => {
    if (ts.isJSDoc(node) || node.kind === ts.SyntaxKind.EndOfFileToken) return;
    const children = node.getChildren(file);
    children.forEach(visit);
    if (children.length > 0 || node.getWidth(file) === 0) return;
    const first = file.getLineAndCharacterOfPosition(node.getStart(file)).line;
    const last = file.getLineAndCharacterOfPosition(node.getEnd()).line;
    for (let line = first; line <= last; line++) lines.add(line);
  };
  visit(file);
  return lines.size;
}
