// A chat as code that asks the same: the body is JSON, which Python and TypeScript read as well.
const indented = (body, by) => JSON.stringify(body, null, 2).replaceAll("\n", `\n${by}`);

export const languages = {
  curl: (base, body) =>
    `curl ${base}/chat/completions \\\n  -H "Authorization: Bearer $TURNPIKE_API_KEY" \\\n  -H "Content-Type: application/json" \\\n  -d '${JSON.stringify(body, null, 2).replaceAll("'", "'\\''")}'`,
  python: (base, body) =>
    `import os
from openai import OpenAI  # pip install openai

client = OpenAI(base_url="${base}", api_key=os.environ["TURNPIKE_API_KEY"])
answer = client.chat.completions.create(**${indented(body, "")})
print(answer.choices[0].message.content)`,
  typescript: (base, body) =>
    `import OpenAI from "openai"; // npm install openai

const client = new OpenAI({ baseURL: "${base}", apiKey: process.env.TURNPIKE_API_KEY });
const answer = await client.chat.completions.create(${indented(body, "")});
console.log(answer.choices[0].message.content);`,
};
