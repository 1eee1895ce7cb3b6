// Says on the page why a passkey was not used; django-allauth's scripts only write it into the console.
const box = document.getElementById("passkey-problem");

function tell(text) {
  if (!box) return;
  box.textContent = text;
  box.hidden = false;
}

document.addEventListener("allauth.error", (event) => {
  event.preventDefault();
  const fault = event.detail.exception;
  const words = fault && fault.name === "NotAllowedError" ? "it was cancelled, or none fits" : fault;
  tell(`The passkey was not used: ${words}.`);
});

// Browsers tie passkeys to a name: at a bare address of the network there are none, and none are offered.
if (/^[\d.]+$|^\[/.test(location.hostname)) {
  document.getElementById("passkey_login")?.setAttribute("hidden", "");
  if (document.getElementById("mfa_webauthn_add")) {
    tell(`Passkeys need a name in the address, such as localhost; this is ${location.hostname}.`);
  }
}
