// The emoji that can be written as :name:. The first ones are offered as reactions.

const table = `+1 👍 heart ❤️ joy 😂 tada 🎉 eyes 👀 rocket 🚀 white_check_mark ✅ thinking 🤔 -1 👎 pray 🙏 fire 🔥 clap 👏
smile 😄 grin 😁 laughing 😆 rofl 🤣 slightly_smiling_face 🙂 upside_down_face 🙃 wink 😉 blush 😊 innocent 😇
heart_eyes 😍 kissing_heart 😘 yum 😋 stuck_out_tongue 😛 sunglasses 😎 nerd_face 🤓 star_struck 🤩 partying_face 🥳
smirk 😏 unamused 😒 disappointed 😞 worried 😟 confused 😕 cry 😢 sob 😭 angry 😠 rage 😡 exploding_head 🤯
flushed 😳 scream 😱 sweat 😓 sweat_smile 😅 hugs 🤗 hugging_face 🤗 shushing_face 🤫 neutral_face 😐 expressionless 😑
roll_eyes 🙄 grimacing 😬 sleeping 😴 sick 🤢 mask 😷 cowboy_hat_face 🤠 ghost 👻 skull 💀 robot 🤖 poop 💩
thumbsup 👍 thumbsdown 👎 ok_hand 👌 wave 👋 raised_hands 🙌 muscle 💪 point_up ☝️ point_right 👉 point_left 👈
point_down 👇 crossed_fingers 🤞 v ✌️ handshake 🤝 writing_hand ✍️ facepalm 🤦 shrug 🤷 raising_hand 🙋 salute 🫡
broken_heart 💔 sparkling_heart 💖 blue_heart 💙 green_heart 💚 yellow_heart 💛 purple_heart 💜 100 💯 boom 💥
sparkles ✨ star ⭐ zap ⚡ sunny ☀️ cloud ☁️ rain 🌧️ snowflake ❄️ rainbow 🌈 x ❌ check ✔️ warning ⚠️ question ❓
exclamation ❗ bulb 💡 bug 🐛 wrench 🔧 hammer 🔨 gear ⚙️ lock 🔒 key 🔑 link 🔗 memo 📝 book 📖 calendar 📅
pushpin 📌 mag 🔍 bell 🔔 mute 🔇 hourglass ⌛ clock ⏰ package 📦 email 📧 phone 📱 computer 💻 floppy_disk 💾
chart 📈 moneybag 💰 gift 🎁 trophy 🏆 medal 🏅 dart 🎯 game 🎮 music 🎵 art 🎨 camera 📷 coffee ☕ tea 🍵 beer 🍺
cake 🍰 pizza 🍕 apple 🍎 dog 🐶 cat 🐱 unicorn 🦄 whale 🐳 penguin 🐧 turtle 🐢 snail 🐌 bee 🐝 tree 🌳 flower 🌸
earth 🌍 car 🚗 bike 🚲 airplane ✈️ ship 🚢 house 🏠 construction 🚧 recycle ♻️ flag 🚩`;

const words = table.split(/\s+/);
export const emoji = new Map();
for (let i = 0; i < words.length; i += 2) emoji.set(words[i], words[i + 1]);

export const usual = [...new Set(emoji.values())].slice(0, 12);
