// The official JavaScript clients against the gateway at argv[2] with the key argv[3]; tells {check: "" or the error}.

import Anthropic from "@anthropic-ai/sdk";
import { ApiError, GoogleGenAI } from "@google/genai";
import { Ollama } from "ollama";
import OpenAI from "openai";

const [url, key] = process.argv.slice(2);
const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 0 });
const anthropic = new Anthropic({ baseURL: url, apiKey: key, maxRetries: 0 });
const google = new GoogleGenAI({ apiKey: key, httpOptions: { baseUrl: url } });
const ollama = new Ollama({ host: url, headers: { Authorization: `Bearer ${key}` } });

const MODEL = "tiny";
const ASK = [{ role: "user", content: "Say something." }];

function expect(holds, what) {
  if (!holds) throw new Error(`not so: ${what}`);
}

async function refused(work, kind, status) {
  try {
    await work();
  } catch (error) {
    expect(error instanceof kind, `${error.constructor.name} is ${kind.name}: ${error.message}`);
    if (status) expect(error.status === status, `status ${error.status} is ${status}`);
    return error;
  }
  throw new Error(`nothing was refused with ${kind.name}`);
}

const checks = {
  async openai_chat() {
    const reply = await openai.chat.completions.create({ model: MODEL, messages: ASK, max_tokens: 8 });
    expect(reply.choices[0].message.content, "there is text");
    expect(reply.usage.completion_tokens > 0, "tokens are counted");
  },
  async openai_stream() {
    const stream = await openai.chat.completions.create({
      model: MODEL, messages: ASK, max_tokens: 8, stream: true, stream_options: { include_usage: true },
    });
    let text = "", finish = null, usage = null;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta?.content ?? "";
      finish = chunk.choices[0]?.finish_reason ?? finish;
      usage = chunk.usage ?? usage;
    }
    expect(text && finish && usage.completion_tokens > 0, "text, a finish reason and usage");
  },
  async openai_embeddings() {
    const reply = await openai.embeddings.create({ model: "tiny-embed", input: ["a", "b"] });
    expect(reply.data.length === 2 && reply.data[1].embedding.every(Number.isFinite), "two vectors of numbers");
  },
  async openai_responses() {
    const reply = await openai.responses.create({ model: MODEL, input: "Say something.", max_output_tokens: 8 });
    expect(reply.output_text, "there is text");
    let last = null, numbers = [];
    const stream = await openai.responses.create({ model: MODEL, input: ASK, max_output_tokens: 8, stream: true });
    for await (const event of stream) {
      numbers.push(event.sequence_number);
      last = event;
    }
    expect(["response.completed", "response.incomplete"].includes(last.type), `${last.type} ends it`);
    expect(numbers.every((number, at) => !at || number > numbers[at - 1]), "numbers rise");
  },
  async openai_errors() {
    await refused(() => openai.chat.completions.create({ model: "nobody", messages: ASK }), OpenAI.NotFoundError, 404);
    await refused(() => openai.chat.completions.create({ model: MODEL, messages: [] }), OpenAI.BadRequestError, 400);
    const stranger = new OpenAI({ baseURL: `${url}/v1`, apiKey: "wrong", maxRetries: 0 });
    await refused(() => stranger.models.list(), OpenAI.AuthenticationError, 401);
  },
  async anthropic_messages() {
    const reply = await anthropic.messages.create({ model: MODEL, max_tokens: 8, messages: ASK });
    expect(reply.content[0].type === "text" && reply.content[0].text, "a block of text");
    expect(reply.usage.output_tokens > 0 && reply.stop_reason, "usage and a reason");
  },
  async anthropic_stream() {
    const stream = anthropic.messages.stream({ model: MODEL, max_tokens: 8, messages: ASK });
    let text = "";
    stream.on("text", (piece) => { text += piece; });
    const whole = await stream.finalMessage();
    expect(text && whole.content[0].text === text, "the pieces make the whole");
  },
  async anthropic_count() {
    const counted = await anthropic.messages.countTokens({ model: MODEL, messages: ASK });
    expect(counted.input_tokens > 0, "tokens are counted");
  },
  async anthropic_models() {
    const names = [];
    for await (const model of anthropic.models.list()) names.push(model.id);
    expect(names.includes(MODEL), `${MODEL} is in ${names}`);
  },
  async anthropic_errors() {
    const ask = { max_tokens: 8, messages: ASK };
    await refused(() => anthropic.messages.create({ model: "nobody", ...ask }), Anthropic.NotFoundError, 404);
    const stranger = new Anthropic({ baseURL: url, apiKey: "wrong", maxRetries: 0 });
    await refused(() => stranger.messages.create({ model: MODEL, ...ask }), Anthropic.AuthenticationError, 401);
  },
  async google_generate() {
    const config = { maxOutputTokens: 8 };
    const reply = await google.models.generateContent({ model: MODEL, contents: "Say something.", config });
    expect(reply.text, "there is text");
    expect(reply.usageMetadata.candidatesTokenCount > 0, "tokens are counted");
  },
  async google_stream() {
    let text = "", finish = null;
    const config = { maxOutputTokens: 8 };
    const stream = await google.models.generateContentStream({ model: MODEL, contents: "Say something.", config });
    for await (const chunk of stream) {
      text += chunk.text ?? "";
      finish = chunk.candidates?.[0]?.finishReason ?? finish;
    }
    expect(text && finish, "text and a finish reason");
  },
  async google_embed_and_count() {
    const vectors = await google.models.embedContent({ model: "tiny-embed", contents: ["a", "b"] });
    expect(vectors.embeddings.length === 2 && vectors.embeddings[0].values.length > 0, "two vectors");
    const counted = await google.models.countTokens({ model: MODEL, contents: "Say something." });
    expect(counted.totalTokens > 0, "tokens are counted");
  },
  async google_errors() {
    const asked = { model: "nobody", contents: "Say something." };
    await refused(() => google.models.generateContent(asked), ApiError, 404);
  },
  async ollama_chat() {
    const reply = await ollama.chat({ model: MODEL, messages: ASK, options: { num_predict: 8 } });
    expect(reply.done && reply.message.content, "there is text");
    let text = "", done = false;
    const stream = await ollama.chat({ model: MODEL, messages: ASK, options: { num_predict: 8 }, stream: true });
    for await (const part of stream) {
      text += part.message.content;
      done = part.done;
    }
    expect(text && done, "text, and an end");
  },
  async ollama_generate_and_embed() {
    const reply = await ollama.generate({ model: MODEL, prompt: "Say something.", options: { num_predict: 8 } });
    expect(reply.done && reply.response, "there is text");
    const vectors = await ollama.embed({ model: "tiny-embed", input: ["a", "b"] });
    expect(vectors.embeddings.length === 2, "two vectors");
  },
  async ollama_looks_around() {
    const { models } = await ollama.list();
    expect(models.some((model) => model.name.startsWith(MODEL)), "the model is listed");
    expect((await ollama.show({ model: MODEL })).capabilities.includes("completion"), "it can complete");
    expect(Array.isArray((await ollama.ps()).models), "what runs is a list");
  },
  async ollama_errors() {
    await refused(() => ollama.chat({ model: "nobody", messages: ASK }), Error);
  },
};

const found = {};
for (const [name, check] of Object.entries(checks)) {
  try {
    await check();
    found[name] = "";
  } catch (error) {
    found[name] = String(error.stack ?? error);
  }
}
console.log(JSON.stringify(found));
