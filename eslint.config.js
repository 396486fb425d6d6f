import js from '@eslint/js';
import { defineConfig, globalIgnores } from 'eslint/config';
import tseslint from 'typescript-eslint';

const sources = ['lib/**/*.ts', 'spec/**/*.ts', 'demo/**/*.ts', 'bench/**/*.ts'];

export default defineConfig(
  // What .ci holds runs against the packed package, which a checkout does not have: .ci/run type-checks it there.
  globalIgnores(['dist/', 'site/', 'coverage/', '.ci/', '.snippets-*/', 'bench/.build-*/']),
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  js.configs.recommended,

  {
    files: sources,
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      eqeqeq: 'error',
      'max-depth': ['error', 3],
      'no-restricted-exports': [
        'error',
        {
          restrictDefaultExports: {
            direct: true,
            named: true,
            defaultFrom: true,
            namedFrom: true,
            namespaceFrom: true,
          },
        },
      ],
      'no-restricted-imports': [
        'error',
        { patterns: [{ regex: '^rxjs/(internal|dist|src)(/|$)', message: 'RxJS 9 drops it.' }] },
      ],
      'no-restricted-syntax': [
        'error',
        { selector: 'CallExpression[callee.property.name="lift"]', message: 'RxJS 9 drops `lift`.' },
      ],
      'object-shorthand': 'error',
      'prefer-const': 'error',
      '@typescript-eslint/ban-ts-comment': [
        'error',
        { 'ts-expect-error': true, 'ts-ignore': true, 'ts-nocheck': true, 'ts-check': true },
      ],
      // `verbatimModuleSyntax` keeps `import { type T }` as a run-time import; `import type` vanishes.
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      '@typescript-eslint/no-import-type-side-effects': 'error',
      '@typescript-eslint/no-explicit-any': 'error',
      // `next: (frame) => sink.push(frame)` and `if (late) return fail(error);` say it better than a block.
      '@typescript-eslint/no-confusing-void-expression': [
        'error',
        { ignoreArrowShorthand: true, ignoreVoidReturningFunctions: true },
      ],
      // A call between two lines may run callbacks that change a flag; the compiler narrows as if it could not, and
      // this rule calls the second look at the flag needless.
      '@typescript-eslint/no-unnecessary-condition': 'off',
      // `callable<F>(option, value)` is told what to make of a value by its caller alone.
      '@typescript-eslint/no-unnecessary-type-parameters': 'off',
      // Whether a Duplex is a net.Socket is known at run time alone.
      '@typescript-eslint/no-unsafe-class-instance-assignment': 'off',
      // It asks for `!`, which `no-non-null-assertion` forbids.
      '@typescript-eslint/non-nullable-type-assertion-style': 'off',
      // As in tsc: a leading underscore says that it is left unused on purpose.
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_', destructuredArrayIgnorePattern: '^_' },
      ],
      // What a user's function threw is passed on as it is.
      '@typescript-eslint/only-throw-error': ['error', { allowRethrowing: true, allowThrowingUnknown: true }],
      '@typescript-eslint/prefer-promise-reject-errors': ['error', { allowThrowingUnknown: true }],
      // A number in a message is no accident; everything else must be made a text on purpose.
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
    },
  },

  {
    files: ['lib/**/*.ts'],
    rules: {
      'max-lines-per-function': ['error', { max: 60, skipBlankLines: true, skipComments: true }],
      'no-console': 'error',
      // Time is virtual in the specs: it comes from RxJS schedulers alone.
      'no-restricted-globals': [
        'error',
        { name: 'setTimeout', message: 'Use rxjs `timer`.' },
        { name: 'setInterval', message: 'Use rxjs `timer`.' },
      ],
    },
  },

  {
    // It shows values of any type, objects apart, which the rule does not see.
    files: ['lib/check.ts'],
    rules: { '@typescript-eslint/no-base-to-string': 'off' },
  },

  {
    files: ['spec/**/*.ts'],
    rules: {
      // A fake does nothing on purpose, and an `async` one may have nothing to await.
      '@typescript-eslint/no-empty-function': 'off',
      '@typescript-eslint/require-await': 'off',
      // A spec that is wrong about a value being there fails, which is what it is for.
      '@typescript-eslint/no-non-null-assertion': 'off',
      // `expect(x).to.be.true` is an expression.
      '@typescript-eslint/no-unused-expressions': 'off',
      // Some specs throw what no one should throw.
      '@typescript-eslint/only-throw-error': 'off',
      '@typescript-eslint/prefer-promise-reject-errors': 'off',
    },
  },

  {
    // The specs about types are made of lines that the compiler must refuse, each with its reason.
    files: ['spec/types/**/*.ts'],
    rules: {
      '@typescript-eslint/ban-ts-comment': [
        'error',
        {
          'ts-expect-error': 'allow-with-description',
          'ts-ignore': true,
          'ts-nocheck': true,
          minimumDescriptionLength: 3,
        },
      ],
      '@typescript-eslint/no-unused-vars': 'off',
    },
  },
);
