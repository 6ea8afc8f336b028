// The page's part of the example `one_room`: who it is stands behind the `?` of its address, as in `?name=ann`.

const LINES_MAX = 200

const name = new URLSearchParams(location.search).get("name") ?? "page"
const room = new signalR.HubConnectionBuilder()
  .withUrl(`lobby?name=${encodeURIComponent(name)}`)
  .withAutomaticReconnect()
  .build()

room.on("Heard", (user, text) => {
  const heard = document.querySelector("#heard")
  heard.append(Object.assign(document.createElement("li"), { textContent: `${user}: ${text}` }))
  while (heard.children.length > LINES_MAX) heard.firstChild.remove()
})
room.onreconnecting(() => tell("offline"))
room.onreconnected(() => tell("online"))
room.onclose(() => tell("offline"))

function tell(state) {
  document.querySelector("#state").textContent = state
  document.querySelector("button").disabled = state !== "online"
}

const say = document.querySelector("#say")
say.onsubmit = async (submit) => {
  submit.preventDefault()
  const { text } = say.elements
  await room.invoke("Say", text.value)
  text.value = ""
}

await room.start()
tell("online")
