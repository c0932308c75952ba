//! One page around a picture.

use super::svg::escape;

/// Recolours the picture's classes for dark surroundings, and makes tooltips appear at once.
const STYLE: &str = "\
:root{color-scheme:light dark}
body{margin:0;background:#fff;display:flex;justify-content:center}
main{padding:1.5rem;max-width:100%;box-sizing:border-box;overflow-x:auto}
.plot .cell:hover,.plot .point:hover{stroke:#1d232b;stroke-width:2;fill-opacity:1}
#tip{position:fixed;pointer-events:none;opacity:0;transition:opacity .08s;white-space:pre-wrap;max-width:28rem;
padding:.45rem .6rem;border-radius:.35rem;font:12px/1.45 Hack,'DejaVu Sans Mono',Menlo,Consolas,monospace;
background:#1d232b;color:#fff;box-shadow:0 2px 10px rgba(0,0,0,.3)}
@media (prefers-color-scheme:dark){
body{background:#14181d}
.plot .paper{fill:#14181d}
.plot .ink{fill:#e6eaee}
.plot .faint{fill:#a3adb8}
.plot .rule{stroke:#2c333b}
.plot .axis{stroke:#6b7682}
.plot .edge{stroke:#2c333b}
.plot .missing{fill:#262c33}
.plot .cell:hover,.plot .point:hover{stroke:#fff}
#tip{background:#e6eaee;color:#14181d}
}
";

/// Replaces the browser's slow tooltips; without scripts, those remain.
const SCRIPT: &str = "\
const tip=document.getElementById('tip');
for(const title of document.querySelectorAll('.plot g>title,.plot circle>title')){
const owner=title.parentNode,text=title.textContent;
owner.setAttribute('aria-label',text);
title.remove();
owner.addEventListener('pointermove',event=>{
tip.textContent=text;
tip.style.opacity=1;
tip.style.left=Math.max(0,Math.min(event.clientX+14,innerWidth-tip.offsetWidth-8))+'px';
tip.style.top=Math.max(0,Math.min(event.clientY+16,innerHeight-tip.offsetHeight-8))+'px';
});
owner.addEventListener('pointerleave',()=>{tip.style.opacity=0});
}
";

pub(super) fn page(title: &str, svg: &str) -> String {
    let title = if title.is_empty() { "Plot".to_owned() } else { escape(title) };
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{svg}</main>\n\
         <div id=\"tip\" role=\"presentation\"></div>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n"
    )
}
