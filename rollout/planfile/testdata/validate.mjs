// Validates the documents on standard input with ajv: the good ones are valid against the
// schema, the bad ones are not.
import Ajv from 'ajv/dist/2020.js'
import { text } from 'node:stream/consumers'

const { schema, good, bad } = JSON.parse(await text(process.stdin))
const validate = new Ajv({ allErrors: true, strict: true }).compile(schema)
let wrong = 0
good.forEach((plan) => {
  if (!validate(plan)) {
    wrong++
    console.log(JSON.stringify(validate.errors), JSON.stringify(plan))
  }
})
bad.forEach((plan) => {
  if (validate(plan)) {
    wrong++
    console.log('accepted:', JSON.stringify(plan))
  }
})
if (!wrong && good.length && bad.length) console.log('ok')
