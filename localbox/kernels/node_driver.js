// Runs cells inside a node process; node.py, which starts it, is its only reader and writer.
//
// Cells are evaluated by V8's own console (the inspector in REPL mode), as in a browser and in
// Deno: top-level await, and const, let and class may be declared again in a later cell. All that
// goes to standard output and error is written at once, so that nothing is lost or late.
(function start(require, fds) {
  "use strict";
  const fs = require("node:fs");
  const inspector = require("node:inspector");
  const nodeModule = require("node:module");
  const net = require("node:net");
  const path = require("node:path");
  const { Writable } = require("node:stream");
  const { pathToFileURL } = require("node:url");
  const util = require("node:util");
  const vm = require("node:vm");
  const { Worker } = require("node:worker_threads");

  const TAKE = Symbol.for("localbox.take");
  const DISPLAY = Symbol.for("Jupyter.display");
  const IMPORT = "__localbox_import";
  const META = "__localbox_meta";
  // Cannot be the beginning of any code: what ends with it is parsed and never runs.
  const POISON = "\n@@@";
  const OWN_FRAME = /^\s+at .*(node:inspector|node:internal\/|localbox-driver\.js)/;
  const INSPECT = { colors: false, depth: 4, maxArrayLength: 200, maxStringLength: 100_000 };
  const MAX_JSON_VALUES = 100_000;
  const MAX_RESULT_LENGTH = 8 * 1024 * 1024; // the host takes no more either

  // That these are experimental is no business of the cell's.
  const OWN_WARNING = /USE_MAIN_CONTEXT_DEFAULT_LOADER|stripTypeScriptTypes/;
  const { emitWarning } = process;
  process.emitWarning = function (warning, ...rest) {
    if (!OWN_WARNING.test(String(warning))) emitWarning.call(this, warning, ...rest);
  };

  const session = new inspector.Session();
  session.connect();
  const sleeper = new Int32Array(new SharedArrayBuffer(4));
  // With the thread that interrupts: how many interrupts were answered, and which cell runs.
  const shared = new Int32Array(new SharedArrayBuffer(8));
  const [ANSWERS, CELL] = [0, 1];
  let current = null; // the cell that runs
  let taken; // the value that TAKE was given last

  function writeAll(fd, data) {
    for (let start = 0; start < data.length; ) {
      try {
        start += fs.writeSync(fd, data, start);
      } catch (error) {
        if (error.code !== "EAGAIN") throw error;
        // Another program has made the pipe non-blocking for all who share it.
        Atomics.wait(sleeper, 0, 0, 2);
      }
    }
  }

  function report(message) {
    writeAll(fds.reports, Buffer.from(JSON.stringify(message) + "\n"));
  }

  // Wait until the host has taken what was written and shown so far.
  function waitForHost() {
    fs.readSync(fds.acks, Buffer.alloc(1));
  }

  let lastWritten = null;

  class SynchronousStream extends Writable {
    constructor(fd) {
      super({ decodeStrings: true });
      this.fd = fd;
    }

    _write(chunk, _encoding, done) {
      if (current !== null && lastWritten !== null && lastWritten !== this.fd) {
        report({ settle: true });
        waitForHost();
      }
      lastWritten = this.fd;
      try {
        writeAll(this.fd, chunk);
        done();
      } catch (error) {
        done(error);
      }
    }

    _destroy(_error, done) {
      done(); // the descriptor stays open: it is the process's
    }
  }

  for (const [name, fd] of [["stdout", 1], ["stderr", 2]]) {
    const stream = new SynchronousStream(fd);
    Object.defineProperty(process, name, { value: stream, configurable: true, writable: true });
  }

  function call(method, parameters) {
    let settle;
    const answer = new Promise((resolve) => { settle = resolve; });
    // Not in the promise's own function, which would be a frame of every stack.
    session.post(method, parameters, (error, result) => settle({ error, result }));
    return answer;
  }

  // What `remote`, the inspector's description of a value, describes.
  async function valueOf(remote) {
    if (remote.objectId !== undefined) {
      await call("Runtime.callFunctionOn", {
        functionDeclaration: `function (value) { globalThis[Symbol.for("localbox.take")](value); }`,
        objectId: remote.objectId,
        arguments: [{ objectId: remote.objectId }],
      });
      const value = taken;
      taken = undefined;
      return { value };
    }
    const special = remote.unserializableValue;
    if (special === undefined) return { value: remote.subtype === "null" ? null : remote.value };
    return { value: remote.type === "bigint" ? BigInt(special.slice(0, -1)) : Number(special) };
  }

  // ---- code that V8 takes in modules only ----

  // Where and why V8 cannot parse `code`, as an offset into it. Nothing of it runs.
  async function firstError(code) {
    const { result } = await call("Runtime.evaluate", {
      expression: code + POISON,
      replMode: true,
      silent: true,
    });
    const details = result.exceptionDetails;
    const lines = code.split("\n").slice(0, details.lineNumber);
    const offset = lines.reduce((sum, line) => sum + line.length + 1, 0) + details.columnNumber;
    return { offset, text: details.exception?.description ?? "" };
  }

  const IMPORT_STATEMENT =
    /import\s*(?:([\w$\s{},*]+?)\s*\bfrom\s*)?(["'])([^"'\n]+)\2(?:\s*(?:with|assert)\s*(\{[^}]*\}))?/y;
  const EXPORT = /export\s*(?:default\b|\*[^;\n]*|\{[^}]*\}(?:\s*from\s*["'][^"'\n]*["'])?|(?=\w))/y;

  function blank(text) {
    return text.replace(/[^\n]/g, " ");
  }

  function importedNames(clause) {
    const [, named] = /\{([^}]*)\}/.exec(clause) ?? [];
    const [, fallback] = /^\s*([\w$]+)/.exec(clause) ?? [];
    const names = (named ?? "").split(",").map((name) => name.trim().replace(/\s+as\s+/, ": "));
    return [...(fallback ? [`default: ${fallback}`] : []), ...names.filter(Boolean)].join(", ");
  }

  function dynamicImport(match) {
    const [text, clause, , specifier, attributes] = match;
    const options = attributes ? `, { with: ${attributes} }` : "";
    const loaded = `await ${IMPORT}(${JSON.stringify(specifier)}${options})`;
    const lines = "\n".repeat(text.split("\n").length - 1);
    if (clause === undefined) return `${loaded};${lines}`;
    const [, whole] = /\*\s*as\s+([\w$]+)/.exec(clause) ?? [];
    const names = importedNames(clause.replace(/\*[\s\S]*/, ""));
    if (whole === undefined) return `const { ${names} } = ${loaded};${lines}`;
    return `const ${whole} = ${loaded}${names && `, { ${names} } = ${whole}`};${lines}`;
  }

  function replaceAt(code, offset, pattern, replacement) {
    pattern.lastIndex = offset;
    const match = pattern.exec(code);
    if (match === null) return code;
    return code.slice(0, offset) + replacement(match) + code.slice(offset + match[0].length);
  }

  // V8 itself says where an import statement or an export is; strings and comments are not.
  async function withoutModuleSyntax(code) {
    if (!/\b(import|export)\b/.test(code)) return code;
    for (;;) {
      const { offset, text } = await firstError(code);
      let next = code;
      if (text.includes("Cannot use import statement outside a module")) {
        next = replaceAt(code, offset, IMPORT_STATEMENT, dynamicImport);
      } else if (text.includes("Cannot use 'import.meta' outside a module")) {
        const start = code.lastIndexOf("import", offset);
        next = replaceAt(code, start, /import\s*\.\s*meta\b/y, () => META);
      } else if (text.includes("Unexpected token 'export'")) {
        next = replaceAt(code, offset, EXPORT, ([match]) => blank(match));
      }
      if (next === code) break;
      code = next;
    }
    // Last to first, so that the offsets of those still to do stay true.
    for (const { index } of [...code.matchAll(/\bimport\s*\(/g)].reverse()) {
      // A keyword may not be written like this; in a string, a comment or a name it may.
      const probe = code.slice(0, index) + "\\u0069mport" + code.slice(index + 6);
      const { offset, text } = await firstError(probe);
      if (offset === index && text.includes("Keyword must not contain escaped")) {
        code = code.slice(0, index) + IMPORT + code.slice(index + 6);
      }
    }
    return code;
  }

  // An import() that looks for packages from the current directory.
  function importer() {
    const filename = path.join(process.cwd(), "cell.js");
    const loader = vm.constants?.USE_MAIN_CONTEXT_DEFAULT_LOADER;
    if (loader === undefined) {
      const { resolve } = nodeModule.createRequire(filename);
      return (name) => {
        const found = nodeModule.isBuiltin(name) ? name : resolve(name);
        return import(path.isAbsolute(found) ? pathToFileURL(found).href : found);
      };
    }
    return vm.runInThisContext("(name, options) => import(name, options)", {
      filename,
      importModuleDynamically: loader,
    });
  }

  // ---- TypeScript ----

  function findTypescript() {
    const prefix = path.join(path.dirname(process.execPath), "..");
    const paths = [process.cwd(), path.join(prefix, "lib"), "/usr/local/lib"];
    try {
      return require.resolve("typescript", { paths });
    } catch {
      return null;
    }
  }

  // Types replaced by blanks where node can do it, so that lines and columns stay.
  function withoutTypes(code) {
    if (nodeModule.stripTypeScriptTypes === undefined) {
      const typescript = require(findTypescript());
      const compilerOptions = { target: "esnext", module: "esnext", verbatimModuleSyntax: true };
      return typescript.transpileModule(code, { compilerOptions }).outputText;
    }
    try {
      return nodeModule.stripTypeScriptTypes(code);
    } catch (error) {
      if (error.code !== "ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX") throw error;
      return nodeModule.stripTypeScriptTypes(code, { mode: "transform" }); // enums, for instance
    }
  }

  // ---- results ----

  function isJson(value, budget = { values: MAX_JSON_VALUES }, depth = 0) {
    if (--budget.values < 0 || depth > 100) return false;
    if (value === null || typeof value === "string" || typeof value === "boolean") return true;
    if (typeof value === "number") return Number.isFinite(value);
    if (typeof value !== "object" || util.types.isProxy(value)) return false;
    if (Array.isArray(value)) return value.every((item) => isJson(item, budget, depth + 1));
    const prototype = Object.getPrototypeOf(value);
    if (prototype !== Object.prototype && prototype !== null) return false;
    return Object.values(value).every((item) => isJson(item, budget, depth + 1));
  }

  function imageType(value) {
    if (!(value instanceof Uint8Array)) return null;
    const start = Buffer.from(value.subarray(0, 4)).toString("hex");
    if (start === "89504e47") return "image/png";
    return start.startsWith("ffd8ff") ? "image/jpeg" : null;
  }

  // What to show of a value: MIME types to contents.
  async function bundleOf(value) {
    if (typeof value === "string") {
      // As E2B does: without the quotes around it.
      const whole = { ...INSPECT, maxStringLength: Infinity, breakLength: Infinity };
      return { "text/plain": util.inspect(value, whole).slice(1, -1) };
    }
    const plain = util.inspect(value, INSPECT);
    if (value !== null && typeof value === "object") {
      if (typeof value[DISPLAY] === "function") {
        const bundle = await value[DISPLAY]();
        if (bundle !== null && typeof bundle === "object") return bundle;
      }
      const image = imageType(value);
      if (image !== null) return { [image]: Buffer.from(value).toString("base64") };
      if (isJson(value)) return { "text/plain": plain, "application/json": value };
    }
    return { "text/plain": plain };
  }

  function show(cell, bundle, main) {
    if (current !== cell || cell === null) return; // it has ended
    const [largest = 0] = Object.values(bundle).map((part) => part?.length ?? 0).sort((a, b) => b - a);
    if (largest > MAX_RESULT_LENGTH) {
      const size = (largest / 1e6).toFixed(1);
      bundle = { "text/plain": `[localbox: this result has ${size} MB and was dropped]` };
    }
    report({ show: bundle, main });
    if (!main) waitForHost();
  }

  async function display(value, options) {
    const cell = current;
    show(cell, options?.raw ? value : await bundleOf(value), false);
  }

  // ---- errors ----

  function describe(error) {
    let text;
    try {
      text = util.inspect(error, INSPECT);
    } catch {
      text = "an error that cannot be shown";
    }
    const traceback = text.split("\n").filter((line) => !OWN_FRAME.test(line)).join("\n");
    if (!util.types.isNativeError(error)) return { name: "Uncaught", value: text, traceback };
    return { name: String(error.name), value: String(error.message), traceback };
  }

  function describeSyntaxError(cell, code, details, error) {
    const source = code.split("\n")[details.lineNumber] ?? "";
    const place = `${cell.name}:${details.lineNumber + 1}:${details.columnNumber + 1}`;
    const caret = `${" ".repeat(details.columnNumber)}^`;
    const traceback = `${place}\n${source}\n${caret}\n${error.name}: ${error.message}`;
    return { name: error.name, value: error.message, traceback };
  }

  // The same, for what the remover of types has thrown: it says where in the head of its stack.
  function describeTypescriptError(cell, error) {
    const head = String(error.stack).split("\n\n")[0];
    const traceback = `${cell.name}${head}\nSyntaxError: ${error.message}`;
    return { name: "SyntaxError", value: error.message, traceback };
  }

  function strayError(error) {
    if (current !== null) {
      end(current, describe(error));
    } else {
      process.stderr.write(`${describe(error).traceback}\n`);
    }
  }

  process.on("uncaughtException", strayError);
  process.on("unhandledRejection", strayError);

  // ---- cells ----

  function setVariables(variables) {
    const before = {};
    for (const [name, value] of Object.entries(variables)) {
      before[name] = process.env[name];
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
    return before;
  }

  function end(cell, failure) {
    if (current !== cell) return;
    setVariables(cell.before);
    current = null;
    report({ end: cell.number, failure });
    session.post("Runtime.releaseObjectGroup", { objectGroup: "cell" });
  }

  async function evaluate(cell, source) {
    let code = cell.language === "typescript" ? withoutTypes(source) : source;
    code = await withoutModuleSyntax(code);
    const { error, result } = await call("Runtime.evaluate", {
      expression: `${code}\n//# sourceURL=${cell.name}`,
      replMode: true,
      awaitPromise: true,
      silent: true,
      objectGroup: "cell",
    });
    if (error) return { name: "KeyboardInterrupt", value: "the cell was interrupted", traceback: "" };
    const details = result.exceptionDetails;
    if (details !== undefined) {
      const { value } = await valueOf(details.exception);
      const unparsed = util.types.isNativeError(value) && value.name === "SyntaxError";
      // An error of the cell's own parsing has no frames of the cell.
      if (unparsed && !String(value.stack).includes(cell.name)) {
        return describeSyntaxError(cell, code, details, value);
      }
      return describe(value);
    }
    if (result.result.type !== "undefined") {
      const { value } = await valueOf(result.result);
      show(cell, await bundleOf(value), true);
    }
    return undefined;
  }

  async function run({ number, code, env, language }) {
    const cell = { number, language, name: `cell-${number}.js`, before: setVariables(env) };
    current = cell;
    Atomics.store(shared, CELL, number);
    lastWritten = null;
    let failure;
    try {
      failure = await evaluate(cell, code);
    } catch (error) {
      const untyped = /_TYPESCRIPT_SYNTAX$/.test(error?.code);
      failure = untyped ? describeTypescriptError(cell, error) : describe(error);
    }
    // Rejections that nobody handles are told after the promises of this turn.
    if (failure === undefined) await new Promise(setImmediate);
    end(cell, failure);
  }

  // Ends a cell that computes and does not come back to the event loop; one that waits is ended by
  // `onInterrupt`. It connects only when it has to: node waits at its end for whoever is connected.
  const INTERRUPTER = `
    const { Session } = require("node:inspector");
    const { Socket } = require("node:net");
    const { parentPort, workerData } = require("node:worker_threads");
    const socket = new Socket({ fd: workerData.fd, readable: true, writable: false });
    const { shared, ANSWERS, CELL } = workerData;
    socket.on("data", (data) => {
      const cell = Number(String(data).trim().split("\\n").at(-1));
      const before = Atomics.load(shared, ANSWERS);
      parentPort.postMessage(cell);
      if (Atomics.wait(shared, ANSWERS, before, 100) !== "timed-out") return;
      if (Atomics.load(shared, CELL) !== cell) return;
      // That these are experimental is no business of the cell's.
  const OWN_WARNING = /USE_MAIN_CONTEXT_DEFAULT_LOADER|stripTypeScriptTypes/;
  const { emitWarning } = process;
  process.emitWarning = function (warning, ...rest) {
    if (!OWN_WARNING.test(String(warning))) emitWarning.call(this, warning, ...rest);
  };

  const session = new Session();
      session.connectToMainThread();
      session.post("Runtime.terminateExecution", () => {
        session.disconnect();
        parentPort.postMessage(cell);
      });
    });
  `;
  const interrupter = new Worker(INTERRUPTER, {
    eval: true,
    workerData: { fd: fds.interrupts, shared, ANSWERS, CELL },
    resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 1 },
  });
  interrupter.unref();
  interrupter.on("message", function onInterrupt(number) {
    Atomics.add(shared, ANSWERS, 1);
    Atomics.notify(shared, ANSWERS);
    if (current?.number === number) {
      end(current, { name: "KeyboardInterrupt", value: "the cell was interrupted", traceback: "" });
    }
  });
  process.on("SIGINT", () => {}); // for the programs that a cell has started

  function define(name, value) {
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  }

  const filename = path.join(process.cwd(), "cell.js");
  define(TAKE, (value) => { taken = value; });
  define(IMPORT, importer());
  define(META, { url: pathToFileURL(filename).href, filename, dirname: process.cwd() });
  define("require", nodeModule.createRequire(filename));
  define("display", display);
  define("$display", DISPLAY);
  process.argv.splice(1);
  process.execArgv.splice(0);

  let held = "";
  const commands = new net.Socket({ fd: fds.commands, readable: true, writable: false });
  commands.setEncoding("utf8");
  commands.on("data", (text) => {
    const lines = (held + text).split("\n");
    held = lines.pop();
    for (const line of lines) run(JSON.parse(line));
  });
  commands.on("end", () => process.exit());
  report({
    hello: process.version,
    typescript: nodeModule.stripTypeScriptTypes !== undefined || findTypescript() !== null,
  });
});
