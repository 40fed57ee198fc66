// Vercel's AI SDK over its providers for OpenAI (chat and responses), Anthropic and compatible ones.

import assert from "node:assert/strict";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import {
  APICallError,
  Output,
  embedMany,
  generateText,
  jsonSchema,
  stepCountIs,
  streamText,
  tool,
} from "ai";
import { BOOK, BROKEN, ENDLESS, LIMITED, NOTHING, STORY, WEATHER } from "./tools.mjs";

export const PACKAGE = "ai";

const APIS = {
  chat: (at, key) => createOpenAI({ baseURL: `${at.url}/v1`, apiKey: key }).chat,
  compatible: (at, key) =>
    createOpenAICompatible({
      name: "proxy",
      baseURL: `${at.url}/v1`,
      apiKey: key,
      includeUsage: true,
      supportsStructuredOutputs: true,
    }).chatModel,
  messages: (at, key) => createAnthropic({ baseURL: `${at.url}/v1`, apiKey: key }),
  responses: (at, key) => createOpenAI({ baseURL: `${at.url}/v1`, apiKey: key }).responses,
};

function asked(api, at, model, more = {}) {
  const { key = at.key, ...options } = more;
  return {
    model: APIS[api](at, key)(model),
    prompt: at.text,
    maxRetries: 0,
    maxOutputTokens: at.maxTokens,
    ...options,
  };
}

function buildTools(called) {
  const build = (name, schema) =>
    tool({
      description: name,
      inputSchema: jsonSchema(schema),
      execute: () => {
        called.push(name);
        return "noon";
      },
    });
  return { get_weather: build("get_weather", WEATHER), get_time: build("get_time", NOTHING) };
}

async function text(api, at, place) {
  const result = await generateText(asked(api, at, `${place}/sim-echo`));
  assert.equal(result.text, at.text);
  assert.equal(result.finishReason, "stop");
  assert.ok(result.usage.inputTokens > 0 && result.usage.outputTokens > 0);
}

async function stream(api, at, place, model = "sim-echo") {
  const result = streamText(asked(api, at, `${place}/${model}`));
  const pieces = [];
  for await (const piece of result.textStream) pieces.push(piece);
  assert.equal(pieces.join(""), at.text);
  assert.ok(pieces.length > 1);
  assert.ok((await result.usage).outputTokens > 0);
  assert.equal(await result.finishReason, "stop");
}

async function picture(api, at, place) {
  const shown = { type: "image", image: at.picture, mediaType: "image/png" };
  const { prompt, ...ask } = asked(api, at, `${place}/sim-look`);
  const content = [{ type: "text", text: prompt }, shown];
  const result = await generateText({ ...ask, messages: [{ role: "user", content }] });
  assert.equal(result.text, at.pictureSeen);
}

async function thinking(api, at, place) {
  const providerOptions = {
    anthropic: { thinking: { type: "enabled", budgetTokens: 1024 } },
    openai: { reasoningSummary: "auto", forceReasoning: true, store: false },
  };
  const model = `${place}/sim-tools@5thoughts`;
  const more = { providerOptions, tools: buildTools([]), stopWhen: stepCountIs(3) };
  const result = streamText(asked(api, at, model, more));
  const steps = await result.steps;
  assert.match(steps.at(-1).text, /^The tool answered: /);
  // Only OpenAI's own chat completions have no field for it.
  if (api !== "chat") assert.equal(steps[0].reasoningText, at.thought);
}

async function earlyClose(api, at, place) {
  const ending = await at.findEnding(async () => {
    const leaving = new AbortController();
    const more = { abortSignal: leaving.signal, onError: () => {} };
    for await (const part of streamText(asked(api, at, `${place}/${ENDLESS}`, more)).fullStream) {
      if (part.type === "text-delta") leaving.abort();
    }
  });
  assert.equal(ending, "client_closed");
}

async function tools(api, at, place) {
  const called = [];
  const more = { tools: buildTools(called), stopWhen: stepCountIs(3) };
  const result = await generateText(asked(api, at, `${place}/sim-tools@2calls`, more));
  assert.deepEqual(called.sort(), ["get_time", "get_weather"]);
  assert.match(result.text, /^The tool answered: /);
  assert.equal(result.steps.length, 2);
}

async function streamedTools(api, at, place) {
  const called = [];
  const more = { tools: buildTools(called), stopWhen: stepCountIs(3) };
  const result = streamText(asked(api, at, `${place}/sim-tools@2calls`, more));
  for await (const part of result.fullStream) if (part.type === "error") throw part.error;
  assert.deepEqual(called.sort(), ["get_time", "get_weather"]);
  assert.match(await result.text, /^The tool answered: /);
}

async function outputBySchema(api, at, place) {
  const more = { output: Output.object({ schema: jsonSchema(BOOK) }) };
  const { output } = await generateText(asked(api, at, `${place}/${STORY}`, more));
  assert.deepEqual(Object.keys(output).sort(), ["authors", "title", "year"]);
}

async function streamedOutput(api, at, place) {
  const more = { output: Output.object({ schema: jsonSchema(BOOK) }) };
  const result = streamText(asked(api, at, `${place}/${STORY}`, more));
  let parts = 0;
  for await (const part of result.partialOutputStream) parts += part ? 1 : 0;
  assert.ok(parts > 0); // one, where a provider gives the arguments of a call whole
  assert.deepEqual(Object.keys(await result.output).sort(), ["authors", "title", "year"]);
}

async function errors(api, at, place) {
  const wanted = [
    [`${place}/no-such-model`, 404, at.key],
    [`${place}/${LIMITED}`, 429, at.key],
    [`${place}/sim-echo`, 401, at.wrongKey],
  ];
  for (const [model, status, key] of wanted) {
    await assert.rejects(
      generateText(asked(api, at, model, { key })),
      (error) => APICallError.isInstance(error) && error.statusCode === status && error.message !== "",
      `no error of status ${status}`,
    );
  }
}

async function brokenStream(api, at, place) {
  const kinds = new Set();
  const failures = [];
  const more = { onError: ({ error }) => failures.push(error) };
  const result = streamText(asked(api, at, `${place}/${BROKEN}`, more));
  let reason = null;
  for await (const part of result.fullStream) {
    kinds.add(part.type);
    if (part.type === "finish") reason = part.finishReason;
  }
  assert.ok(kinds.has("text-delta"), [...kinds].join());
  assert.ok(failures.length > 0 || reason === "error", `it ended by ${reason}`);
}

async function embeddings(at, place) {
  const provider = createOpenAI({ baseURL: `${at.url}/v1`, apiKey: at.key });
  const ask = {
    model: provider.embedding(`${place}/sim-embed`),
    values: ["one", "two"],
    maxRetries: 0,
  };
  if (place === "claude") {
    await assert.rejects(embedMany(ask), (error) => error.statusCode === 400);
    return;
  }
  const result = await embedMany(ask);
  assert.deepEqual(result.embeddings.map((vector) => vector.length), [256, 256]);
  assert.ok(result.usage.tokens > 0);
}

const OF_EACH_API = {
  "text": text,
  "stream": stream,
  "stream after signs of life": (api, at, place) => stream(api, at.findSlow(), place, at.slow),
  "picture": picture,
  "thinking": thinking,
  "early close": earlyClose,
  "tools": tools,
  "streamed tools": streamedTools,
  "output by schema": outputBySchema,
  "streamed output": streamedOutput,
  "errors": errors,
  "broken stream": brokenStream,
};

export const CHECKS = { "embeddings": embeddings };
for (const api of Object.keys(APIS)) {
  for (const [name, check] of Object.entries(OF_EACH_API)) {
    CHECKS[`${api}: ${name}`] = (at, place) => check(api, at, place);
  }
}
