// Talks to the server at argv[2] through each client, and prints what each of them
// made of the answers, as JSON.
import OpenAI from "openai";
import Anthropic from "@anthropic-ai/sdk";
import { createOpenAI } from "@ai-sdk/openai";
import { generateText, streamText, stepCountIs, tool } from "ai";
import { z } from "zod";

const base = process.argv[2];
const results = {};
const record = async (name, f) => {
  try {
    results[name] = await f();
  } catch (e) {
    results[name] = { error: e.constructor.name, status: e.status ?? e.statusCode, message: e.message };
  }
};
const messages = [{ role: "user", content: "What is the weather in Bern and Basel? 你好 😀" }];
const functions = [{ type: "function", function: { name: "weather", parameters: { type: "object", properties: { city: { type: "string" } } } } }];

const openai = new OpenAI({ apiKey: "k", baseURL: base + "/v1", maxRetries: 0 });
await record("openai chat", () => openai.chat.completions.create({ model: "m", messages }));
await record("openai chat, tools", () => openai.chat.completions.create({ model: "m", messages, tools: functions }));
await record("openai chat, streamed", async () => {
  const chunks = [];
  for await (const c of await openai.chat.completions.create({ model: "m", messages, stream: true, stream_options: { include_usage: true } })) chunks.push(c);
  return chunks;
});
await record("openai chat, streamed tools", async () => {
  const stream = openai.chat.completions.stream({ model: "m", messages, tools: functions, stream_options: { include_usage: true } });
  return { completion: await stream.finalChatCompletion(), usage: await stream.totalUsage() };
});
await record("openai chat, error", () => openai.chat.completions.create({ model: "unknown", messages }));
await record("openai chat, broken off", async () => {
  const chunks = [];
  try {
    for await (const c of await openai.chat.completions.create({ model: "broken", messages, stream: true })) chunks.push(c);
  } catch (e) {
    return { chunks, failed: true };
  }
  return { chunks, failed: false };
});
await record("openai responses", () => openai.responses.create({ model: "m", input: "hello" }).then((r) => r.output_text));
await record("openai responses, streamed", async () => {
  const events = [];
  for await (const e of await openai.responses.create({ model: "m", input: "hello", stream: true, tools: [{ type: "function", name: "weather", parameters: {} }] })) events.push(e);
  return events;
});
await record("openai embeddings", () => openai.embeddings.create({ model: "m", input: "hello", encoding_format: "float" }));

const anthropic = new Anthropic({ apiKey: "k", baseURL: base, maxRetries: 0 });
const claude = { model: "m", max_tokens: 100, messages: [{ role: "user", content: "hello" }], tools: [{ name: "weather", input_schema: { type: "object" } }] };
await record("anthropic messages", () => anthropic.messages.create(claude));
await record("anthropic messages, streamed", async () => {
  const events = [];
  const stream = anthropic.messages.stream(claude);
  for await (const e of stream) events.push(e);
  return { events, message: await stream.finalMessage() };
});
await record("anthropic error", () => anthropic.messages.create({ ...claude, model: "unknown" }));

const provider = createOpenAI({ apiKey: "k", baseURL: base + "/v1" });
const tools = { weather: tool({ inputSchema: z.object({ city: z.string() }), execute: async ({ city }) => city + ": sunny" }) };
await record("ai text", async () => {
  const r = await generateText({ model: provider.chat("m"), prompt: "hello", maxRetries: 0 });
  return { text: r.text, usage: r.usage, finish: r.finishReason };
});
await record("ai stream with tools", async () => {
  const r = streamText({ model: provider.chat("m"), prompt: "hello", tools, stopWhen: stepCountIs(3), maxRetries: 0 });
  const parts = [];
  for await (const p of r.fullStream) parts.push(p.type);
  const steps = await r.steps;
  return { parts, text: await r.text, usage: await r.totalUsage, finish: await r.finishReason, steps: steps.map((s) => ({ calls: s.toolCalls.map((c) => [c.toolName, c.input]), results: s.toolResults.map((c) => c.output) })) };
});
await record("ai responses", async () => {
  const r = streamText({ model: provider.responses("m"), prompt: "hello", maxRetries: 0 });
  return { text: await r.text, usage: await r.usage, finish: await r.finishReason };
});
console.log(JSON.stringify(results));
