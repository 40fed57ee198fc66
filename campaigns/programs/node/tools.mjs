// What the models are offered and asked to fill in.

export const WEATHER = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
};

export const NOTHING = { type: "object", properties: {}, additionalProperties: false };

export const BOOK = {
  type: "object",
  properties: {
    title: { type: "string" },
    year: { type: "integer" },
    authors: { type: "array", items: { type: "string" } },
  },
  required: ["title", "year", "authors"],
  additionalProperties: false,
};

export const BROKEN = "sim-fault-u7-reset-after-content";
export const ENDLESS = "sim-fault-u17-endless@100tps";
export const LIMITED = "sim-fault-u21-429-seconds";
export const STORY = "sim-story@0tps,0ms";
