// Anthropic's SDK for TypeScript.

import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";
import { BROKEN, ENDLESS, LIMITED, NOTHING, WEATHER } from "./tools.mjs";

export const PACKAGE = "@anthropic-ai/sdk";
const TOOLS = [
  { name: "get_weather", input_schema: WEATHER },
  { name: "get_time", input_schema: NOTHING },
];

function build(at, apiKey = at.key) {
  return new Anthropic({ baseURL: at.url, apiKey, maxRetries: 0 });
}

function asked(at, model, more = {}) {
  return { model, max_tokens: at.maxTokens, messages: [{ role: "user", content: at.text }], ...more };
}

async function text(at, place) {
  const answer = await build(at).messages.create(asked(at, `${place}/sim-echo`));
  assert.deepEqual(answer.content.map((block) => block.text), [at.text]);
  assert.equal(answer.stop_reason, "end_turn");
  assert.ok(answer.usage.input_tokens > 0 && answer.usage.output_tokens > 0);
  assert.ok(answer._request_id);
}

async function stream(at, place, model = "sim-echo") {
  const helper = build(at).messages.stream(asked(at, `${place}/${model}`));
  const pieces = [];
  helper.on("text", (delta) => pieces.push(delta));
  const answer = await helper.finalMessage();
  assert.equal(pieces.join(""), at.text);
  assert.equal(answer.content[0].text, at.text);
  assert.ok(answer.usage.output_tokens > 0);
}

async function picture(at, place) {
  const source = { type: "base64", media_type: "image/png", data: at.picture };
  const content = [{ type: "image", source }, { type: "text", text: "What is it?" }];
  const ask = asked(at, `${place}/sim-look`, { messages: [{ role: "user", content }] });
  assert.equal((await build(at).messages.create(ask)).content[0].text, at.pictureSeen);
}

async function earlyClose(at, place) {
  const ending = await at.findEnding(async () => {
    const ask = asked(at, `${place}/${ENDLESS}`, { stream: true });
    for await (const event of await build(at).messages.create(ask)) if (event) break;
  });
  assert.equal(ending, "client_closed");
}

async function tools(at, place) {
  const client = build(at);
  const ask = asked(at, `${place}/sim-tools@2calls`, { tools: TOOLS });
  const first = await client.messages.create(ask);
  const calls = checkCalls(first);
  const results = calls.map((call, index) => ({
    type: "tool_result",
    tool_use_id: call.id,
    content: ["rain", "noon"][index],
  }));
  const turn = [
    ...ask.messages,
    { role: "assistant", content: first.content },
    { role: "user", content: results },
  ];
  const second = await client.messages.create({ ...ask, messages: turn });
  assert.equal(second.content[0].text, "The tool answered: noon");
}

async function streamedTools(at, place) {
  const ask = asked(at, `${place}/sim-tools@2calls`, { tools: TOOLS });
  checkCalls(await build(at).messages.stream(ask).finalMessage());
}

function checkCalls(answer) {
  assert.equal(answer.stop_reason, "tool_use");
  const calls = answer.content.filter((block) => block.type === "tool_use");
  assert.deepEqual(calls.map((call) => call.name), ["get_weather", "get_time"]);
  assert.deepEqual(Object.keys(calls[0].input), ["city"]);
  assert.deepEqual(calls[1].input, {});
  return calls;
}

async function thinking(at, place) {
  const more = { thinking: { type: "enabled", budget_tokens: 1024 } };
  const ask = asked(at, `${place}/sim-echo@5thoughts`, more);
  const answer = await build(at).messages.stream(ask).finalMessage();
  assert.deepEqual(answer.content.map((block) => block.type), ["thinking", "text"]);
  assert.ok(answer.content[0].thinking && answer.content[0].signature);
}

async function countTokens(at, place) {
  const { model, messages } = asked(at, `${place}/sim-echo`);
  assert.ok((await build(at).messages.countTokens({ model, messages })).input_tokens > 0);
}

async function models(at) {
  const names = [];
  for await (const model of build(at).models.list({ limit: 5 })) names.push(model.id);
  assert.equal(names.length, new Set(names).size);
  assert.ok(names.includes("sim-echo"));
}

async function errors(at, place) {
  const wanted = [
    ["no-such-model", Anthropic.NotFoundError, "not_found_error"],
    [LIMITED, Anthropic.RateLimitError, "rate_limit_error"],
  ];
  for (const [model, kind, type] of wanted) {
    const call = build(at).messages.create(asked(at, `${place}/${model}`));
    await assert.rejects(call, (error) => error instanceof kind && error.error.error.type === type);
  }
  const call = build(at, at.wrongKey).messages.create(asked(at, `${place}/sim-echo`));
  await assert.rejects(call, Anthropic.AuthenticationError);
}

async function brokenStream(at, place) {
  const kinds = [];
  const run = async () => {
    const ask = asked(at, `${place}/${BROKEN}`, { stream: true });
    for await (const event of await build(at).messages.create(ask)) kinds.push(event.type);
  };
  await assert.rejects(run, Anthropic.APIError);
  assert.ok(kinds.includes("content_block_delta") && !kinds.includes("message_stop"));
}

export const CHECKS = {
  "text": text,
  "stream": stream,
  "stream after signs of life": (at, place) => stream(at.findSlow(), place, at.slow),
  "picture": picture,
  "early close": earlyClose,
  "tools": tools,
  "streamed tools": streamedTools,
  "thinking": thinking,
  "count tokens": countTokens,
  "models": models,
  "errors": errors,
  "broken stream": brokenStream,
};
