"""The style sheet of the report: light and dark by preference, fit for print, colours told apart by
dash as well.
"""

from __future__ import annotations

STYLE = """
:root{--ground:#fff;--panel:#f6f7f9;--ink:#16181d;--soft:#565d6b;--rule:#dfe2e8;
--good:#0a6b45;--bad:#b3261e;--goodbg:#e7f4ee;--badbg:#fdecea;
--c0:#0072b2;--c1:#d55e00;--c2:#008a63;--c3:#a3478c;--c4:#8a6d00;--c5:#56789c;--c6:#7a4b2a}
@media (prefers-color-scheme:dark){:root{--ground:#14161a;--panel:#1d2026;--ink:#eceef2;
--soft:#a4abba;--rule:#343943;--good:#5fd3a0;--bad:#ff8a80;--goodbg:#15291f;--badbg:#33191a;
--c0:#56b4e9;--c1:#f08a3c;--c2:#3fc79a;--c3:#e08fc6;--c4:#e6c229;--c5:#9db8d6;--c6:#c9a184}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Liberation Sans",sans-serif}
main{max-width:1200px;margin:0 auto;padding:32px 20px 48px}
h1{font-size:34px;line-height:1.2;margin:4px 0 8px}
h2{font-size:21px;margin:0 0 8px}
h3{font-size:16px;margin:0 0 2px}
section{margin-top:36px}
p{margin:0 0 8px}
.kicker{color:var(--soft);font-size:14px}
.lead{font-size:18px;max-width:75ch}
.story{max-width:110ch;margin:0;padding-left:20px}.story li{margin-bottom:3px}
h1.good,td.good,.tile.good .mark{color:var(--good)}
h1.bad,td.bad,.tile.bad .mark{color:var(--bad)}
td.good,td.bad{white-space:nowrap;font-weight:600}
td.quiet,.unit,.note,.missing,figcaption,footer{color:var(--soft)}
.unit{font-weight:400;font-size:14px}
.tiles{display:grid;
grid-template-columns:repeat(auto-fit,minmax(190px,1fr));gap:12px;margin-top:20px}
.tile{border-left:5px solid var(--good);
background:var(--goodbg);border-radius:6px;padding:12px 14px}
.tile.bad{border-color:var(--bad);background:var(--badbg)}
.tile h2{font-size:14px;font-weight:600;margin:0;color:var(--soft)}
.tile p{margin:0}
.value{font-size:25px;font-weight:700;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
.note{font-size:13px}
.mark{font-size:14px;font-weight:600;margin-top:4px}
.grid{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:16px}
figure{margin:0;background:var(--panel);border-radius:8px;padding:14px 14px 8px;min-width:0;
display:flex;flex-direction:column}
figure.wide{grid-column:1/-1}
figcaption{font-size:14px;margin-bottom:6px}
.plot{margin-top:auto}
.legend{list-style:none;
display:flex;flex-wrap:wrap;gap:2px 16px;margin:0 0 6px;padding:0;font-size:13px}
.legend svg{width:26px;height:8px;margin-right:6px;vertical-align:middle}
.plot svg{display:block;width:100%;height:auto}
svg text{fill:var(--soft);font-size:12px;font-variant-numeric:tabular-nums}
.rule,.tick{stroke:var(--rule);stroke-width:1;fill:none}
.tick{stroke-dasharray:2 4}
.zero{stroke:var(--soft);stroke-width:1.2;fill:none}
.line{fill:none;stroke-width:1.8;stroke-linejoin:round}
.line.band{stroke:var(--ink);stroke-width:7;stroke-opacity:.2}
.lane{opacity:.55}
.silent{fill:var(--ground);stroke:var(--bad);stroke-width:1.5}
.slot{fill:var(--ink);fill-opacity:0}
.slot:hover{fill-opacity:.08}
.dot{stroke:var(--panel);stroke-width:1;fill-opacity:.45}
.area{fill-opacity:.7;stroke:none}
.s0{--c:var(--c0)}.s1{--c:var(--c1)}.s2{--c:var(--c2)}.s3{--c:var(--c3)}
.s4{--c:var(--c4)}.s5{--c:var(--c5)}.s6{--c:var(--c6)}
.line.s0,.line.s1,.line.s2,.line.s3,.line.s4,.line.s5,.line.s6{stroke:var(--c)}
.line.s1{stroke-dasharray:7 3}.line.s2{stroke-dasharray:2 2}.line.s3{stroke-dasharray:9 3 2 3}
.line.s4{stroke-dasharray:12 4}.line.s5{stroke-dasharray:4 4}.line.s6{stroke-dasharray:1 3}
.fill,.dot,.area,.lane{fill:var(--c)}
.cell text{fill:var(--ink)}.cell.lost rect{stroke:var(--bad);stroke-width:2}
.cell.lost text{font-weight:700}
.upright{display:none}
details{margin-top:20px}summary{cursor:pointer;font-weight:600}
dl{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:3px 16px;margin:8px 0 0}
dt{font-weight:600}dd{margin:0;max-width:90ch}
td.whole{white-space:nowrap}
td.sum{font-weight:600;background:var(--panel)}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:14px}
th,td{text-align:left;padding:6px 12px 6px 0;border-bottom:1px solid var(--rule);vertical-align:top}
th{color:var(--soft);font-weight:600}
.num{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
code{font-size:13px;overflow-wrap:anywhere}
footer{margin-top:40px;border-top:1px solid var(--rule);padding-top:12px;font-size:14px}
@media (max-width:800px){.grid{grid-template-columns:minmax(0,1fr)}h1{font-size:27px}
.plot svg{overflow:visible}.wide svg text{font-size:18px}
.wide .across{display:none}.wide .upright{display:block;max-width:560px}
.wide .upright svg text{font-size:13px}dl{grid-template-columns:minmax(0,1fr)}dd{margin:0 0 6px}}
@media (max-width:520px){.plot svg text{font-size:17px}.wide svg text{font-size:27px}
.wide svg text.odd{display:none}
.wide .plot .line{stroke-width:3.2}.tiles{grid-template-columns:repeat(2,minmax(0,1fr))}
table.broad{min-width:720px}}
@media print{:root{--ground:#fff;--panel:#fff;--ink:#000;--soft:#444;--rule:#ccc;
--good:#0a6b45;--bad:#b3261e;--goodbg:#fff;--badbg:#fff;
--c0:#0072b2;--c1:#d55e00;--c2:#008a63;--c3:#a3478c;--c4:#8a6d00;--c5:#56789c;--c6:#7a4b2a}
body{font-size:11pt}main{max-width:none;padding:0}figure,.tile,tr{break-inside:avoid}
h2{break-after:avoid}.scroll{overflow:visible}}
"""
