// openai-node: chat completions, embeddings and responses.

import assert from "node:assert/strict";
import OpenAI from "openai";
import { zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";
import { BROKEN, ENDLESS, LIMITED, NOTHING, STORY, WEATHER } from "./tools.mjs";

export const PACKAGE = "openai";
const Book = z.object({ title: z.string(), year: z.number().int(), authors: z.array(z.string()) });
const FUNCTIONS = [
  { name: "get_weather", parameters: WEATHER },
  { name: "get_time", parameters: NOTHING },
];
const TOOLS = FUNCTIONS.map((described) => ({ type: "function", function: described }));

function build(at, apiKey = at.key) {
  return new OpenAI({ baseURL: `${at.url}/v1`, apiKey, maxRetries: 0 });
}

function asked(at, model, more = {}) {
  return { model, messages: [{ role: "user", content: at.text }], ...more };
}

async function text(at, place) {
  const answer = await build(at).chat.completions.create(asked(at, `${place}/sim-echo`));
  assert.equal(answer.choices[0].message.content, at.text);
  assert.equal(answer.choices[0].finish_reason, "stop");
  assert.ok(answer.usage.prompt_tokens > 0 && answer.usage.completion_tokens > 0);
  assert.ok(answer._request_id);
}

async function stream(at, place, model = "sim-echo") {
  const more = { stream: true, stream_options: { include_usage: true } };
  const chunks = [];
  for await (const chunk of await build(at).chat.completions.create(
    asked(at, `${place}/${model}`, more),
  )) {
    chunks.push(chunk);
  }
  assert.equal(chunks.map((c) => c.choices[0]?.delta.content ?? "").join(""), at.text);
  assert.ok(chunks.at(-1).usage.completion_tokens > 0);
}

async function streamHelper(at, place) {
  const helper = build(at).chat.completions.stream(asked(at, `${place}/sim-echo`));
  const pieces = [];
  helper.on("content", (delta) => pieces.push(delta));
  assert.equal(await helper.finalContent(), at.text);
  assert.equal(pieces.join(""), at.text);
}

async function picture(at, place) {
  const shown = { type: "image_url", image_url: { url: `data:image/png;base64,${at.picture}` } };
  const answer = await build(at).chat.completions.create({
    model: `${place}/sim-look`,
    messages: [{ role: "user", content: [{ type: "text", text: "What is it?" }, shown] }],
  });
  assert.equal(answer.choices[0].message.content, at.pictureSeen);
}

async function earlyClose(at, place) {
  const ending = await at.findEnding(async () => {
    const ask = asked(at, `${place}/${ENDLESS}`, { stream: true });
    for await (const chunk of await build(at).chat.completions.create(ask)) if (chunk) break;
  });
  assert.equal(ending, "client_closed");
}

async function tools(at, place) {
  const client = build(at);
  const model = `${place}/sim-tools@2calls`;
  const first = await client.chat.completions.create(asked(at, model, { tools: TOOLS }));
  assert.equal(first.choices[0].finish_reason, "tool_calls");
  const { message } = first.choices[0];
  checkCalls(message.tool_calls);
  const results = message.tool_calls.map((call, index) => ({
    role: "tool",
    tool_call_id: call.id,
    content: ["rain", "noon"][index],
  }));
  const turn = [{ role: "user", content: at.text }, message, ...results];
  const second = await client.chat.completions.create({ model, messages: turn, tools: TOOLS });
  assert.equal(second.choices[0].message.content, "The tool answered: noon");
}

async function runTools(at, place) {
  const called = [];
  const offered = FUNCTIONS.map((described) => ({
    type: "function",
    function: {
      ...described,
      parse: JSON.parse,
      function: () => {
        called.push(described.name);
        return "noon";
      },
    },
  }));
  const model = `${place}/sim-tools@2calls`;
  const runner = build(at).chat.completions.runTools(
    asked(at, model, { tools: offered, stream: true }),
  );
  assert.equal(await runner.finalContent(), "The tool answered: noon");
  assert.deepEqual(called.sort(), ["get_time", "get_weather"]);
}

function checkCalls(calls) {
  assert.deepEqual(calls.map((call) => call.function.name), ["get_weather", "get_time"]);
  assert.deepEqual(Object.keys(JSON.parse(calls[0].function.arguments)), ["city"]);
  assert.deepEqual(JSON.parse(calls[1].function.arguments), {});
}

async function parse(at, place) {
  const format = { response_format: zodResponseFormat(Book, "book") };
  const answer = await build(at).chat.completions.parse(asked(at, `${place}/${STORY}`, format));
  Book.parse(answer.choices[0].message.parsed);
}

async function embeddings(at, place) {
  const ask = { model: `${place}/sim-embed`, input: ["one", "two"] };
  if (place === "claude") {
    await assert.rejects(build(at).embeddings.create(ask), OpenAI.BadRequestError);
    return;
  }
  const packed = await build(at).embeddings.create(ask);
  const plain = await build(at).embeddings.create({ ...ask, encoding_format: "float" });
  assert.deepEqual(packed.data.map((item) => item.embedding.length), [256, 256]);
  assert.ok(Math.abs(packed.data[0].embedding[0] - plain.data[0].embedding[0]) < 1e-6);
}

async function models(at, place) {
  const names = [];
  for await (const model of build(at).models.list()) names.push(model.id);
  assert.ok(names.includes("sim-echo"));
  assert.equal((await build(at).models.retrieve(`${place}/sim-echo`)).object, "model");
}

async function errors(at, place) {
  const wanted = [
    ["no-such-model", OpenAI.NotFoundError, "model_not_found"],
    [LIMITED, OpenAI.RateLimitError, "rate_limit_exceeded"],
  ];
  for (const [model, kind, code] of wanted) {
    const call = build(at).chat.completions.create(asked(at, `${place}/${model}`));
    await assert.rejects(call, (error) => error instanceof kind && error.code === code);
  }
  const call = build(at, at.wrongKey).chat.completions.create(asked(at, `${place}/sim-echo`));
  await assert.rejects(call, OpenAI.AuthenticationError);
}

async function brokenStream(at, place) {
  const pieces = [];
  const run = async () => {
    const more = { stream: true };
    const chunks = await build(at).chat.completions.create(asked(at, `${place}/${BROKEN}`, more));
    for await (const chunk of chunks) pieces.push(chunk.choices[0]?.delta.content ?? "");
  };
  await assert.rejects(run, OpenAI.APIError);
  assert.ok(pieces.join(""));
}

async function responsesText(at, place) {
  const ask = { model: `${place}/sim-echo`, input: at.text };
  const answer = await build(at).responses.create(ask);
  assert.equal(answer.output_text, at.text);
  assert.equal(answer.status, "completed");
  assert.ok(answer.usage.input_tokens > 0 && answer.usage.output_tokens > 0);
}

async function responsesStream(at, place, model = "sim-echo") {
  const helper = build(at).responses.stream({ model: `${place}/${model}`, input: at.text });
  const pieces = [];
  helper.on("response.output_text.delta", (event) => pieces.push(event.delta));
  const answer = await helper.finalResponse();
  assert.equal(pieces.join(""), at.text);
  assert.equal(answer.output_text, at.text);
}

async function responsesTools(at, place) {
  const client = build(at);
  const model = `${place}/sim-tools@2calls`;
  const offered = FUNCTIONS.map((described) => ({ type: "function", strict: false, ...described }));
  const first = await client.responses.create({ model, input: at.text, tools: offered });
  const calls = first.output.filter((item) => item.type === "function_call");
  assert.deepEqual(calls.map((call) => call.name), ["get_weather", "get_time"]);
  const results = calls.map((call, index) => ({
    type: "function_call_output",
    call_id: call.call_id,
    output: ["rain", "noon"][index],
  }));
  const stateless = [{ role: "user", content: at.text }, ...first.output, ...results];
  const second = await client.responses.create({ model, input: stateless, tools: offered });
  assert.equal(second.output_text, "The tool answered: noon");
  const third = await client.responses.create({
    model,
    input: results,
    tools: offered,
    previous_response_id: first.id,
  });
  assert.equal(third.output_text, "The tool answered: noon");
}

async function responsesParse(at, place) {
  const answer = await build(at).responses.parse({
    model: `${place}/${STORY}`,
    input: at.text,
    text: { format: zodTextFormat(Book, "book") },
  });
  Book.parse(answer.output_parsed);
}

async function responsesErrors(at, place) {
  const wanted = [
    ["no-such-model", OpenAI.NotFoundError, "model_not_found"],
    [LIMITED, OpenAI.RateLimitError, "rate_limit_exceeded"],
  ];
  for (const [model, kind, code] of wanted) {
    const call = build(at).responses.create({ model: `${place}/${model}`, input: at.text });
    await assert.rejects(call, (error) => error instanceof kind && error.code === code);
  }
}

async function responsesBrokenStream(at, place) {
  const kinds = [];
  const run = async () => {
    const ask = { model: `${place}/${BROKEN}`, input: at.text, stream: true };
    for await (const event of await build(at).responses.create(ask)) kinds.push(event.type);
  };
  // The failure is an event of theirs, `response.failed`; `error` before it is thrown by some.
  await run().catch((error) => assert.ok(error instanceof OpenAI.APIError, error));
  assert.ok(kinds.includes("response.output_text.delta"), kinds.join());
  assert.ok(!kinds.includes("response.completed"), kinds.join());
}

export const CHECKS = {
  "chat: text": text,
  "chat: stream": stream,
  "chat: stream after signs of life": (at, place) => stream(at.findSlow(), place, at.slow),
  "chat: stream helper": streamHelper,
  "chat: picture": picture,
  "chat: early close": earlyClose,
  "chat: tools": tools,
  "chat: run tools": runTools,
  "chat: parse": parse,
  "chat: errors": errors,
  "chat: broken stream": brokenStream,
  "embeddings": embeddings,
  "models": models,
  "responses: text": responsesText,
  "responses: stream": responsesStream,
  "responses: stream after signs of life": (at, place) =>
    responsesStream(at.findSlow(), place, at.slow),
  "responses: tools": responsesTools,
  "responses: parse": responsesParse,
  "responses: errors": responsesErrors,
  "responses: broken stream": responsesBrokenStream,
};
