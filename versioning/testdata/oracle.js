// Answers questions about ranges with node-semver. The first argument is the
// package's folder; questions come as JSON on standard input.
const semver = require(process.argv[2])
const questions = JSON.parse(require('fs').readFileSync(0, 'utf8'))
const attempt = (f) => { try { return f() } catch { return undefined } }
const answers = questions.map(({ r, s, v, pre }) => {
  const options = { includePrerelease: pre }
  const range = attempt(() => new semver.Range(r, options))
  if (range === undefined) return { ok: false }
  const second = attempt(() => new semver.Range(s, options))
  const least = attempt(() => semver.minVersion(r, options))
  return {
    ok: true,
    text: range.range,
    contains: semver.satisfies(v, r, options),
    least: least ? least.version : '',
    second: second !== undefined,
    intersects: second !== undefined && attempt(() => semver.intersects(r, s, options)),
    subset: second !== undefined && attempt(() => semver.subset(r, s, options)),
  }
})
process.stdout.write(JSON.stringify(answers))
