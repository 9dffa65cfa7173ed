// The link on the console carries the set-up code behind its #: into the field, out of the address.

const code = new URLSearchParams(location.hash.slice(1)).get("code");
if (code) {
  document.querySelector("input[name=code]").value = code;
  history.replaceState(null, "", location.pathname);
  document.querySelector("input[name=password]").focus();
}
