// xterm makes <style> elements and sets style attributes as text. The page's policy takes neither: elements get the
// page's nonce, and attributes are set through the style object, which a policy does not forbid to scripts it trusts.
(() => {
  const { nonce } = document.getElementById("style-nonce");
  const make = document.createElement.bind(document);
  document.createElement = (name, options) => {
    const element = make(name, options);
    if (String(name).toLowerCase() === "style") element.nonce = nonce;
    return element;
  };
  const set = Element.prototype.setAttribute;
  Element.prototype.setAttribute = function setAttribute(name, value) {
    if (name === "style" && this.style) this.style.cssText = value;
    else set.call(this, name, value);
  };
})();
