"""What the provisioning page says, in English."""

LANGUAGE = "en"
OTHER = ("ko", "한국어")

TITLE = "Set up this meter"
WIFI = "Your Wi-Fi"
HIDDEN = "Another network"
NAME = "Its name, if it is not in the list"
PASSWORD = "Wi-Fi password"
PASSWORD_HINT = "Leave it empty if the network has none."
CODE = "Enrolment code"
CODE_HINT = "The text of the QR code on the sheet from your community. It begins with PUMASI:1:"
CODE_KEEP = "Leave it empty to stay in your community and change the Wi-Fi only."
CONNECT = "Connect"
AGAIN = "Search for networks again"
LEFT = "This page closes in %d min."
BUSY = "Connecting"
BUSY_HINT = "This takes up to a minute. Stay in the meter's Wi-Fi; if the phone leaves it, join it again."
DONE = "Done"
DONE_TEXT = "The meter belongs to %s now and restarts. You may close this page."
DONE_WIFI = "The meter uses the Wi-Fi %s now and restarts. You may close this page."

STEPS = {
    "wifi": "Joining your Wi-Fi …",
    "hub": "Looking for the community's server …",
    "time": "Asking for the time …",
    "identity": "Fetching the meter's identity …",
    "flash": "Storing it …",
}

PROBLEMS = {
    "form-name": "Choose your Wi-Fi, or type its name (at most 32 letters).",
    "form-password": "A Wi-Fi password has 8 to 63 letters. Leave it empty only if your Wi-Fi has none.",
    "form-code": "The enrolment code is missing. It is the text of the QR code on the sheet from your community.",
    "form-stale": "This page was too old. Please enter everything again.",
    "password": "The Wi-Fi does not accept this password. Check it, capital letters too.",
    "not-found": "This Wi-Fi was not found. The meter knows 2.4 GHz networks only; is the router near enough?",
    "security": "This Wi-Fi's kind of security is not known to the meter. Set the router to WPA2 or WPA2/WPA3.",
    "no-answer": "The Wi-Fi did not let the meter in. Try again, or restart the router.",
    "code": "This is not an enrolment code, or not all of it. It is one line that begins with PUMASI:1:",
    "code-version": "This code is for a newer meter. Ask your community for another one, or for newer firmware.",
    "hub": "The community's server did not answer. Does this Wi-Fi reach the internet?",
    "not-a-hub": "What answers there is not a community's server. Does this Wi-Fi ask for a login first?",
    "authority": "The server is not the one that made this code. Nothing was sent to it. Ask your community.",
    "time": "The meter could not learn the time. Does this Wi-Fi reach the internet?",
    "identity": "The server did not give the identity. Try again; if that fails, ask your community for a new code.",
    "answer": "The server's answer was not understood. Tell your community.",
    "config": "The server gave settings this meter cannot work with. Tell your community.",
    "token-used": "This code was used before. Ask your community for a new one.",
    "token-expired": "This code is too old. Ask your community for a new one.",
    "token-unknown": "The server does not know this code. Check it, or ask your community for a new one.",
    "too-many": "Too many attempts. Wait a minute and try again.",
    "flash": "The meter could not store its identity: its memory is full or worn. Ask your community for a new code.",
    "unexpected": "Something went wrong that should not. Try again, and tell your community if it stays.",
}
