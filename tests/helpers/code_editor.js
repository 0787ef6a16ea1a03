// Runs scripts as the Code Editor does, and prints the expressions that they make.
//
//   node code_editor.js ALGORITHMS [CLIENT] < scripts.json > results.json
//
// `scripts.json` is a list of `{code, names}`; each result is `{values: {name: expression}, layers}`
// or `{error}`. ALGORITHMS is the list of functions as the wire has it. With CLIENT, the folder of
// Google's own client (@google/earthengine), that one is run; without, a small stand-in below, which
// makes classes and methods from the list by the rules of Google's.
'use strict';

const fs = require('fs');
const vm = require('vm');

const signatures = {};
for (const each of JSON.parse(fs.readFileSync(process.argv[2])).algorithms) {
  const name = each.name.replace('algorithms/', '');
  const args = (each.arguments || []).map((a) => ({
    name: a.argumentName, type: a.type || '', optional: Boolean(a.optional),
  }));
  signatures[name] = {name, args, returns: each.returnType || ''};
}

const plain = (type) => type.replace(/<.*>/, '');

// -------------------------------------------------------------------------------- the stand-in

function standIn() {
  const ee = {};
  const parents = {
    Image: 'Element', Feature: 'Element', Collection: 'Element',
    ImageCollection: 'Collection', FeatureCollection: 'Collection',
  };
  const collections = ['Collection', 'ImageCollection', 'FeatureCollection'];
  const subtypes = {
    Element: ['Element', 'Image', 'Feature', ...collections],
    Collection: collections, FeatureCollection: collections,
  };
  const numbers = ['Number', 'Float', 'Long', 'Integer', 'Short', 'Byte'];

  class ComputedObject {
    constructor(func, args, variable) {
      Object.assign(this, {func, args, variable});
    }
  }
  ee.ComputedObject = ComputedObject;

  const owners = new Set(Object.keys(signatures).map((name) => name.split('.')[0]));
  const returned = new Set(Object.values(signatures).map((each) => plain(each.returns)));
  const written = ['Element', 'Image', 'Feature', 'Collection', 'ImageCollection',
    'FeatureCollection', 'Filter', 'Geometry', 'List', 'Number', 'String', 'Dictionary', 'Date'];
  const names = [...written, ...[...owners].filter((n) => returned.has(n) && !written.includes(n))];
  for (const name of names) makeClass(name);

  function makeClass(name) {
    if (name in ee) return;
    if (parents[name]) makeClass(parents[name]);
    const base = parents[name] ? ee[parents[name]] : ComputedObject;
    // Callable with and without `new`, as the client's classes are.
    const target = function(...args) { return construct(name, args); };
    target.prototype = Object.create(base.prototype);
    target.prototype.className = name;
    ee[name] = target;
  }

  function cast(object, name) {
    if (!(name in ee) || object instanceof ee[name]) return object;
    const made = Object.create(ee[name].prototype);
    return Object.assign(made, {func: object.func, args: object.args, variable: object.variable});
  }

  function construct(name, args) {
    const [only] = args;
    const loaders = {
      Image: ['Image.load', 'id'], ImageCollection: ['ImageCollection.load', 'id'],
      FeatureCollection: ['Collection.loadTable', 'tableId'],
    };
    if (typeof only === 'string' && loaders[name]) {
      return invoke(loaders[name][0], {[loaders[name][1]]: only});
    }
    if (name === 'Image' && typeof only === 'number') return invoke('Image.constant', {value: only});
    if (only instanceof ComputedObject && args.length === 1) {
      const wraps = ['String', 'Dictionary', 'Date'].includes(name) || !written.includes(name);
      const same = only.func && plain(signatures[only.func].returns) === name;
      const constructor = signatures[name];
      if (!wraps || same || !constructor || only instanceof ee[name]) return cast(only, name);
      return invoke(name, {[constructor.args[0].name]: only});
    }
    if (!signatures[name]) throw new Error(`cannot make an ee.${name} of this`);
    return callOrApply(name, args);
  }

  function promote(value, type) {
    const kind = plain(type);
    if (value === null || value === undefined) return value;
    if (kind === 'Algorithm') return typeof value === 'function' ? custom(value) : value;
    if (kind === 'Image') return construct('Image', [value]);
    const name = numbers.includes(kind) ? 'Number' : kind === 'Collection' ? 'FeatureCollection' : kind;
    if (!(name in ee)) return value;
    if (value instanceof ComputedObject) {
      if (collections.includes(kind) && value instanceof ee.Collection) return value;
      return construct(name, [value]);
    }
    const fits = {String: 'string', Number: 'number'};
    if (name in fits && typeof value === fits[name]) return value;
    if (name === 'List' && Array.isArray(value)) return value;
    if (name === 'Dictionary' && typeof value === 'object') return value;
    return construct(name, [value]);
  }

  function invoke(name, given) {
    const signature = signatures[name];
    if (!signature) throw new Error(`Unknown built-in function name: ${name}`);
    const args = {};
    for (const each of signature.args) {
      if (each.name in given && given[each.name] !== undefined) {
        args[each.name] = promote(given[each.name], each.type);
      } else if (!each.optional) {
        throw new Error(`Required argument (${each.name}) missing to function: ${name}`);
      }
    }
    const unknown = Object.keys(given).filter((key) => !signature.args.some((a) => a.name === key));
    if (unknown.length) throw new Error(`Unrecognized arguments (${unknown}) to function: ${name}`);
    const result = new ComputedObject(name, args);
    const kind = plain(signature.returns);
    const of = numbers.includes(kind) ? 'Number' : kind === 'Collection' ? 'FeatureCollection' : kind;
    return cast(result, of);
  }

  const isPlain = (value) => value !== null && typeof value === 'object' &&
    !Array.isArray(value) && !(value instanceof ComputedObject);

  function callOrApply(name, args, self) {
    const signature = signatures[name];
    const formal = signature.args.slice(self === undefined ? 0 : 1);
    const alone = formal.length === 1 || (formal[1] && formal[1].optional);
    const byName = args.length === 1 && isPlain(args[0]) && formal.length &&
      !(alone && plain(formal[0].type) === 'Dictionary');
    const given = {};
    if (self !== undefined) given[signature.args[0].name] = self;
    if (byName) return invoke(name, Object.assign(given, args[0]));
    if (args.length > formal.length) throw new Error(`Too many arguments to function: ${name}`);
    args.forEach((value, index) => { given[formal[index].name] = value; });
    return invoke(name, given);
  }

  let functions = 0;
  function custom(body) {
    functions += 1;
    const variables = Array.from({length: body.length},
        (_, index) => new ComputedObject(null, null, `_VAR_${functions}_${index}`));
    const result = body(...variables);
    if (result === undefined) throw new Error('User-defined methods must return a value.');
    return {argumentNames: variables.map((each) => each.variable), body: result, isFunction: true};
  }

  function importApi(owner, prefix, prepended = '') {
    for (const [name, signature] of Object.entries(signatures)) {
      const parts = name.split('.');
      if (parts.length !== 2 || parts[0] !== prefix) continue;
      const first = signature.args.length ? plain(signature.args[0].type) : 'Object';
      const instance = first !== 'Object' &&
        (first === owner || (subtypes[first] || []).includes(owner));
      const target = instance ? ee[owner].prototype : ee[owner];
      const bound = prepended + parts[1];
      if (bound in target && !target[bound].imported) continue;
      target[bound] = function(...args) { return callOrApply(name, args, instance ? this : undefined); };
      target[bound].imported = true;
    }
  }

  // What the client writes by hand, as far as emitted scripts use it.
  ee.Image.prototype.select = function(bandSelectors, newNames) {
    return invoke('Image.select', {input: this, bandSelectors, newNames});
  };
  ee.Image.prototype.rename = function(given) { return invoke('Image.rename', {input: this, names: given}); };
  ee.Image.prototype.expression = function(expression, images = {}) {
    const all = Object.assign({DEFAULT_EXPRESSION_IMAGE: this}, images);
    const parsed = invoke('Image.parseExpression',
        {expression, argName: 'DEFAULT_EXPRESSION_IMAGE', vars: Object.keys(all)});
    const args = {};
    for (const key of Object.keys(all)) args[key] = construct('Image', [all[key]]);
    return cast(new ComputedObject(parsed, args), 'Image');
  };
  for (const name of ['cat', 'rgb']) {
    ee.Image[name] = () => { throw new Error(`ee.Image.${name} makes a chain of addBands`); };
  }
  ee.Image.prototype.clip = () => { throw new Error('clip is written by hand'); };
  ee.Element.prototype.set = function(key, value) {
    if (isPlain(key)) return Object.entries(key).reduce((made, [k, v]) => made.set(k, v), this);
    return cast(invoke('Element.set', {object: this, key, value}), this.className);
  };
  ee.Collection.prototype.filter = function(filter) {
    return cast(invoke('Collection.filter', {collection: this, filter}), this.className);
  };
  ee.Collection.prototype.map = function(body) {
    const elements = {ImageCollection: 'Image', FeatureCollection: 'Feature', Collection: 'Element'};
    const algorithm = (each) => body(cast(each, elements[this.className]));
    return cast(invoke('Collection.map', {collection: this, baseAlgorithm: algorithm}), this.className);
  };
  for (const name of ['limit', 'sort', 'iterate', 'filterDate', 'filterBounds', 'filterMetadata']) {
    ee.Collection.prototype[name] = () => { throw new Error(`${name} is written by hand`); };
  }
  ee.ImageCollection.prototype.first = () => { throw new Error('first is written by hand'); };
  for (const name of ['and', 'or']) {
    ee.Filter[name] = (...filters) => invoke(`Filter.${name}`, {filters});
  }
  ee.Filter.date = (start, end) => invoke('Filter.dateRangeContains',
      {leftValue: invoke('DateRange', {start, end}), rightField: 'system:time_start'});
  for (const name of ['eq', 'neq', 'lt', 'gte', 'gt', 'lte', 'inList', 'bounds', 'metadata']) {
    ee.Filter[name] = () => { throw new Error(`Filter.${name} is written by hand`); };
  }

  ee.Geometry.Rectangle = ([west, south, east, north], crs, geodesic) => invoke(
      'GeometryConstructors.Polygon', {coordinates: [[
        [west, north], [west, south], [east, south], [east, north], [west, north]]], geodesic});

  for (const owner of names) {
    importApi(owner, owner);
    if (owner === 'Collection') importApi(owner, 'AggregateFeatureCollection', 'aggregate_');
    if (owner === 'ImageCollection') importApi(owner, 'reduce');
  }
  ee.apply = invoke;

  ee.encode = (root) => {
    const values = {};
    const known = new Map();
    const reference = (value) => {
      if (!known.has(value)) {
        const id = String(known.size);
        known.set(value, id);
        values[id] = node(value);
      }
      return known.get(value);
    };
    const nodes = (parts) => Object.fromEntries(
        Object.entries(parts).map(([key, part]) => [key, inline(part)]));
    const inline = (value) => value instanceof ComputedObject || (value && value.isFunction) ?
      {valueReference: reference(value)} : node(value);
    const node = (value) => {
      if (value instanceof ComputedObject) {
        if (value.variable) return {argumentReference: value.variable};
        const named = typeof value.func === 'string';
        return {functionInvocationValue: Object.assign(
            named ? {functionName: value.func} : {functionReference: reference(value.func)},
            {arguments: nodes(value.args)})};
      }
      if (value && value.isFunction) {
        return {functionDefinitionValue: {
          argumentNames: value.argumentNames, body: reference(value.body)}};
      }
      if (Array.isArray(value)) return {arrayValue: {values: value.map(inline)}};
      if (value !== null && typeof value === 'object') return {dictionaryValue: {values: nodes(value)}};
      return {constantValue: value};
    };
    return {result: reference(root), values};
  };
  return ee;
}

// ------------------------------------------------------------------------------ Google's client

function googles(folder) {
  const ee = require(folder);
  ee.data.getAlgorithms = (callback) => (callback ? callback(signatures) : signatures);
  ee.initialize();
  ee.encode = (object) => JSON.parse(ee.Serializer.toCloudApiJSON(object));
  return ee;
}

// -------------------------------------------------------------------------------------- running

const ee = process.argv[3] ? googles(process.argv[3]) : standIn();

function run({code, names}) {
  const layers = [];
  const exports_ = [];
  const sandbox = {
    ee,
    print() {},
    Map: {
      addLayer: (image, seen, title, shown) =>
        layers.push({expression: ee.encode(image), seen, title, shown}),
      centerObject: (object, zoom) => layers.push({centre: ee.encode(object), zoom}),
    },
    Export: {image: {toAsset: (options) => exports_.push(
        Object.assign({}, options, {image: ee.encode(options.image), region: null}))}},
  };
  try {
    vm.runInNewContext(code, sandbox);
    const values = {};
    for (const name of names) values[name] = ee.encode(sandbox[name]);
    return {values, layers, exports: exports_};
  } catch (error) {
    return {error: String(error && error.message || error)};
  }
}

const scripts = JSON.parse(fs.readFileSync(0));
process.stdout.write(JSON.stringify(scripts.map(run)));
