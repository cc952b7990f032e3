/*! https://github.com/leeoniya/uPlot (v1.6.32) */
var uPlot=function(){"use strict";const l="u-off",e="u-label",t="width",n="height",i="top",o="bottom",s="left",r="right",u="#000",a=u+"0",f="mousemove",c="mousedown",h="mouseup",d="mouseenter",p="mouseleave",m="dblclick",g="change",x="dppxchange",w="--",_="undefined"!=typeof window,b=_?document:null,v=_?window:null,k=_?navigator:null;let y,M;function S(l,e){if(null!=e){let t=l.classList;!t.contains(e)&&t.add(e)}}function T(l,e){let t=l.classList;t.contains(e)&&t.remove(e)}function E(l,e,t){l.style[e]=t+"px"}function z(l,e,t,n){let i=b.createElement(l);return null!=e&&S(i,e),null!=t&&t.insertBefore(i,n),i}function D(l,e){return z("div",l,e)}const P=new WeakMap;function A(e,t,n,i,o){let s="translate("+t+"px,"+n+"px)";s!=P.get(e)&&(e.style.transform=s,P.set(e,s),0>t||0>n||t>i||n>o?S(e,l):T(e,l))}const W=new WeakMap;function Y(l,e,t){let n=e+t;n!=W.get(l)&&(W.set(l,n),l.style.background=e,l.style.borderColor=t)}const C=new WeakMap;function H(l,e,t,n){let i=e+""+t;i!=C.get(l)&&(C.set(l,i),l.style.height=t+"px",l.style.width=e+"px",l.style.marginLeft=n?-e/2+"px":0,l.style.marginTop=n?-t/2+"px":0)}const F={passive:!0},R={...F,capture:!0};function G(l,e,t,n){e.addEventListener(l,t,n?R:F)}function I(l,e,t){e.removeEventListener(l,t,F)}function L(l,e,t,n){let i;t=t||0;let o=2147483647>=(n=n||e.length-1);for(;n-t>1;)i=o?t+n>>1:sl((t+n)/2),l>e[i]?t=i:n=i;return l-e[t]>e[n]-l?n:t}function O(l){return(e,t,n)=>{let i=-1,o=-1;for(let o=t;n>=o;o++)if(l(e[o])){i=o;break}for(let i=n;i>=t;i--)if(l(e[i])){o=i;break}return[i,o]}}_&&function l(){let e=devicePixelRatio;y!=e&&(y=e,M&&I(g,M,l),M=matchMedia(`(min-resolution: ${y-.001}dppx) and (max-resolution: ${y+.001}dppx)`),G(g,M,l),v.dispatchEvent(new CustomEvent(x)))}();const N=l=>null!=l,j=l=>null!=l&&l>0,U=O(N),V=O(j);function B(l,e,t,n){let i=hl(l),o=hl(e);l==e&&(-1==i?(l*=t,e/=t):(l/=t,e*=t));let s=10==t?dl:pl,r=1==o?ul:sl,u=(1==i?sl:ul)(s(ol(l))),a=r(s(ol(e))),f=cl(t,u),c=cl(t,a);return 10==t&&(0>u&&(f=Al(f,-u)),0>a&&(c=Al(c,-a))),n||2==t?(l=f*i,e=c*o):(l=Pl(l,f),e=Dl(e,c)),[l,e]}function $(l,e,t,n){let i=B(l,e,t,n);return 0==l&&(i[0]=0),0==e&&(i[1]=0),i}const J=.1,q={mode:3,pad:J},K={pad:0,soft:null,mode:0},X={min:K,max:K};function Z(l,e,t,n){return Ol(t)?ll(l,e,t):(K.pad=t,K.soft=n?0:null,K.mode=n?3:0,ll(l,e,X))}function Q(l,e){return null==l?e:l}function ll(l,e,t){let n=t.min,i=t.max,o=Q(n.pad,0),s=Q(i.pad,0),r=Q(n.hard,-gl),u=Q(i.hard,gl),a=Q(n.soft,gl),f=Q(i.soft,-gl),c=Q(n.mode,0),h=Q(i.mode,0),d=e-l,p=dl(d),m=fl(ol(l),ol(e)),g=dl(m),x=ol(g-p);(1e-24>d||x>10)&&(d=0,0!=l&&0!=e||(d=1e-24,2==c&&a!=gl&&(o=0),2==h&&f!=-gl&&(s=0)));let w=d||m||1e3,_=dl(w),b=cl(10,sl(_)),v=Al(Pl(l-w*(0==d?0==l?.1:1:o),b/10),24),k=a>l||1!=c&&(3!=c||v>a)&&(2!=c||a>v)?gl:a,y=fl(r,k>v&&l>=k?k:al(k,v)),M=Al(Dl(e+w*(0==d?0==e?.1:1:s),b/10),24),S=e>f||1!=h&&(3!=h||f>M)&&(2!=h||M>f)?-gl:f,T=al(u,M>S&&S>=e?S:fl(S,M));return y==T&&0==y&&(T=100),[y,T]}const el=new Intl.NumberFormat(_?k.language:"en-US"),tl=l=>el.format(l),nl=Math,il=nl.PI,ol=nl.abs,sl=nl.floor,rl=nl.round,ul=nl.ceil,al=nl.min,fl=nl.max,cl=nl.pow,hl=nl.sign,dl=nl.log10,pl=nl.log2,ml=(l,e=1)=>nl.asinh(l/e),gl=1/0;function xl(l){return 1+(0|dl((l^l>>31)-(l>>31)))}function wl(l,e,t){return al(fl(l,e),t)}function _l(l){return"function"==typeof l}function bl(l){return _l(l)?l:()=>l}const vl=l=>l,kl=(l,e)=>e,yl=()=>null,Ml=()=>!0,Sl=(l,e)=>l==e,Tl=/\.\d*?(?=9{6,}|0{6,})/gm,El=l=>{if(Il(l)||Wl.has(l))return l;const e=""+l,t=e.match(Tl);if(null==t)return l;let n=t[0].length-1;if(-1!=e.indexOf("e-")){let[l,t]=e.split("e");return+`${El(l)}e${t}`}return Al(l,n)};function zl(l,e){return El(Al(El(l/e))*e)}function Dl(l,e){return El(ul(El(l/e))*e)}function Pl(l,e){return El(sl(El(l/e))*e)}function Al(l,e=0){if(Il(l))return l;let t=10**e;return rl(l*t*(1+Number.EPSILON))/t}const Wl=new Map;function Yl(l){return((""+l).split(".")[1]||"").length}function Cl(l,e,t,n){let i=[],o=n.map(Yl);for(let s=e;t>s;s++){let e=ol(s),t=Al(cl(l,s),e);for(let r=0;n.length>r;r++){let u=10==l?+`${n[r]}e${s}`:n[r]*t,a=(0>s?e:0)+(o[r]>s?o[r]:0),f=10==l?u:Al(u,a);i.push(f),Wl.set(f,a)}}return i}const Hl={},Fl=[],Rl=[null,null],Gl=Array.isArray,Il=Number.isInteger;function Ll(l){return"string"==typeof l}function Ol(l){let e=!1;if(null!=l){let t=l.constructor;e=null==t||t==Object}return e}function Nl(l){return null!=l&&"object"==typeof l}const jl=Object.getPrototypeOf(Uint8Array),Ul="__proto__";function Vl(l,e=Ol){let t;if(Gl(l)){let n=l.find((l=>null!=l));if(Gl(n)||e(n)){t=Array(l.length);for(let n=0;l.length>n;n++)t[n]=Vl(l[n],e)}else t=l.slice()}else if(l instanceof jl)t=l.slice();else if(e(l)){t={};for(let n in l)n!=Ul&&(t[n]=Vl(l[n],e))}else t=l;return t}function Bl(l){let e=arguments;for(let t=1;e.length>t;t++){let n=e[t];for(let e in n)e!=Ul&&(Ol(l[e])?Bl(l[e],Vl(n[e])):l[e]=Vl(n[e]))}return l}function $l(l,e,t){for(let n,i=0,o=-1;e.length>i;i++){let s=e[i];if(s>o){for(n=s-1;n>=0&&null==l[n];)l[n--]=null;for(n=s+1;t>n&&null==l[n];)l[o=n++]=null}}}const Jl="undefined"==typeof queueMicrotask?l=>Promise.resolve().then(l):queueMicrotask,ql=["January","February","March","April","May","June","July","August","September","October","November","December"],Kl=["Sunday","Monday","Tuesday","Wednesday","Thursday","Friday","Saturday"];function Xl(l){return l.slice(0,3)}const Zl=Kl.map(Xl),Ql=ql.map(Xl),le={MMMM:ql,MMM:Ql,WWWW:Kl,WWW:Zl};function ee(l){return(10>l?"0":"")+l}const te={YYYY:l=>l.getFullYear(),YY:l=>(l.getFullYear()+"").slice(2),MMMM:(l,e)=>e.MMMM[l.getMonth()],MMM:(l,e)=>e.MMM[l.getMonth()],MM:l=>ee(l.getMonth()+1),M:l=>l.getMonth()+1,DD:l=>ee(l.getDate()),D:l=>l.getDate(),WWWW:(l,e)=>e.WWWW[l.getDay()],WWW:(l,e)=>e.WWW[l.getDay()],HH:l=>ee(l.getHours()),H:l=>l.getHours(),h:l=>{let e=l.getHours();return 0==e?12:e>12?e-12:e},AA:l=>12>l.getHours()?"AM":"PM",aa:l=>12>l.getHours()?"am":"pm",a:l=>12>l.getHours()?"a":"p",mm:l=>ee(l.getMinutes()),m:l=>l.getMinutes(),ss:l=>ee(l.getSeconds()),s:l=>l.getSeconds(),fff:l=>function(l){return(10>l?"00":100>l?"0":"")+l}(l.getMilliseconds())};function ne(l,e){e=e||le;let t,n=[],i=/\{([a-z]+)\}|[^{]+/gi;for(;t=i.exec(l);)n.push("{"==t[0][0]?te[t[1]]:t[0]);return l=>{let t="";for(let i=0;n.length>i;i++)t+="string"==typeof n[i]?n[i]:n[i](l,e);return t}}const ie=(new Intl.DateTimeFormat).resolvedOptions().timeZone,oe=l=>l%1==0,se=[1,2,2.5,5],re=Cl(10,-32,0,se),ue=Cl(10,0,32,se),ae=ue.filter(oe),fe=re.concat(ue),ce="{YYYY}",he="\n"+ce,de="{M}/{D}",pe="\n"+de,me=pe+"/{YY}",ge="{aa}",xe="{h}:{mm}"+ge,we="\n"+xe,_e=":{ss}",be=null;function ve(l){let e=1e3*l,t=60*e,n=60*t,i=24*n,o=30*i,s=365*i;return[(1==l?Cl(10,0,3,se).filter(oe):Cl(10,-3,0,se)).concat([e,5*e,10*e,15*e,30*e,t,5*t,10*t,15*t,30*t,n,2*n,3*n,4*n,6*n,8*n,12*n,i,2*i,3*i,4*i,5*i,6*i,7*i,8*i,9*i,10*i,15*i,o,2*o,3*o,4*o,6*o,s,2*s,5*s,10*s,25*s,50*s,100*s]),[[s,ce,be,be,be,be,be,be,1],[28*i,"{MMM}",he,be,be,be,be,be,1],[i,de,he,be,be,be,be,be,1],[n,"{h}"+ge,me,be,pe,be,be,be,1],[t,xe,me,be,pe,be,be,be,1],[e,_e,me+" "+xe,be,pe+" "+xe,be,we,be,1],[l,_e+".{fff}",me+" "+xe,be,pe+" "+xe,be,we,be,1]],function(e){return(r,u,a,f,c,h)=>{let d=[],p=c>=s,m=c>=o&&s>c,g=e(a),x=Al(g*l,3),w=Pe(g.getFullYear(),p?0:g.getMonth(),m||p?1:g.getDate()),_=Al(w*l,3);if(m||p){let t=m?c/o:0,n=p?c/s:0,i=x==_?x:Al(Pe(w.getFullYear()+n,w.getMonth()+t,1)*l,3),r=new Date(rl(i/l)),u=r.getFullYear(),a=r.getMonth();for(let o=0;f>=i;o++){let s=Pe(u+n*o,a+t*o,1),r=s-e(Al(s*l,3));i=Al((+s+r)*l,3),i>f||d.push(i)}}else{let o=i>c?c:i,s=_+(sl(a)-sl(x))+Dl(x-_,o);d.push(s);let p=e(s),m=p.getHours()+p.getMinutes()/t+p.getSeconds()/n,g=c/n,w=h/r.axes[u]._space;for(;s=Al(s+c,1==l?0:3),f>=s;)if(g>1){let l=sl(Al(m+g,6))%24,t=e(s).getHours()-l;t>1&&(t=-1),s-=t*n,m=(m+g)%24,.7>Al((s-d[d.length-1])/c,3)*w||d.push(s)}else d.push(s)}return d}}]}const[ke,ye,Me]=ve(1),[Se,Te,Ee]=ve(.001);function ze(l,e){return l.map((l=>l.map(((t,n)=>0==n||8==n||null==t?t:e(1==n||0==l[8]?t:l[1]+t)))))}function De(l,e){return(t,n,i,o,s)=>{let r,u,a,f,c,h,d=e.find((l=>s>=l[0]))||e[e.length-1];return n.map((e=>{let t=l(e),n=t.getFullYear(),i=t.getMonth(),o=t.getDate(),s=t.getHours(),p=t.getMinutes(),m=t.getSeconds(),g=n!=r&&d[2]||i!=u&&d[3]||o!=a&&d[4]||s!=f&&d[5]||p!=c&&d[6]||m!=h&&d[7]||d[1];return r=n,u=i,a=o,f=s,c=p,h=m,g(t)}))}}function Pe(l,e,t){return new Date(l,e,t)}function Ae(l,e){return e(l)}function We(l,e){return(t,n,i,o)=>null==o?w:e(l(n))}Cl(2,-53,53,[1]);const Ye={show:!0,live:!0,isolate:!1,mount:()=>{},markers:{show:!0,width:2,stroke:function(l,e){let t=l.series[e];return t.width?t.stroke(l,e):t.points.width?t.points.stroke(l,e):null},fill:function(l,e){return l.series[e].fill(l,e)},dash:"solid"},idx:null,idxs:null,values:[]},Ce=[0,0];function He(l,e,t,n=!0){return l=>{0==l.button&&(!n||l.target==e)&&t(l)}}function Fe(l,e,t,n=!0){return l=>{(!n||l.target==e)&&t(l)}}const Re={show:!0,x:!0,y:!0,lock:!1,move:function(l,e,t){return Ce[0]=e,Ce[1]=t,Ce},points:{one:!1,show:function(l,e){let i=l.cursor.points,o=D(),s=i.size(l,e);E(o,t,s),E(o,n,s);let r=s/-2;E(o,"marginLeft",r),E(o,"marginTop",r);let u=i.width(l,e,s);return u&&E(o,"borderWidth",u),o},size:function(l,e){return l.series[e].points.size},width:0,stroke:function(l,e){let t=l.series[e].points;return t._stroke||t._fill},fill:function(l,e){let t=l.series[e].points;return t._fill||t._stroke}},bind:{mousedown:He,mouseup:He,click:He,dblclick:He,mousemove:Fe,mouseleave:Fe,mouseenter:Fe},drag:{setScale:!0,x:!0,y:!1,dist:0,uni:null,click:(l,e)=>{e.stopPropagation(),e.stopImmediatePropagation()},_x:!1,_y:!1},focus:{dist:(l,e,t,n,i)=>n-i,prox:-1,bias:0},hover:{skip:[void 0],prox:null,bias:0},left:-10,top:-10,idx:null,dataIdx:null,idxs:null,event:null},Ge={show:!0,stroke:"rgba(0,0,0,0.07)",width:2},Ie=Bl({},Ge,{filter:kl}),Le=Bl({},Ie,{size:10}),Oe=Bl({},Ge,{show:!1}),Ne='12px system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, "Noto Sans", sans-serif, "Apple Color Emoji", "Segoe UI Emoji", "Segoe UI Symbol", "Noto Color Emoji"',je="bold "+Ne,Ue={show:!0,scale:"x",stroke:u,space:50,gap:5,alignTo:1,size:50,labelGap:0,labelSize:30,labelFont:je,side:2,grid:Ie,ticks:Le,border:Oe,font:Ne,lineGap:1.5,rotate:0},Ve={show:!0,scale:"x",auto:!1,sorted:1,min:gl,max:-gl,idxs:[]};function Be(l,e){return e.map((l=>null==l?"":tl(l)))}function $e(l,e,t,n,i,o,s){let r=[],u=Wl.get(i)||0;for(let l=t=s?t:Al(Dl(t,i),u);n>=l;l=Al(l+i,u))r.push(Object.is(l,-0)?0:l);return r}function Je(l,e,t,n,i){const o=[],s=l.scales[l.axes[e].scale].log,r=sl((10==s?dl:pl)(t));i=cl(s,r),10==s&&(i=fe[L(i,fe)]);let u=t,a=i*s;10==s&&(a=fe[L(a,fe)]);do{o.push(u),u+=i,10!=s||Wl.has(u)||(u=Al(u,Wl.get(i))),a>u||(a=(i=u)*s,10==s&&(a=fe[L(a,fe)]))}while(n>=u);return o}function qe(l,e,t,n,i){let o=l.scales[l.axes[e].scale].asinh,s=n>o?Je(l,e,fl(o,t),n,i):[o],r=0>n||t>0?[]:[0];return(-o>t?Je(l,e,fl(o,-n),-t,i):[o]).reverse().map((l=>-l)).concat(r,s)}const Ke=/./,Xe=/[12357]/,Ze=/[125]/,Qe=/1/,lt=(l,e,t,n)=>l.map(((l,i)=>4==e&&0==l||i%n==0&&t.test(l.toExponential()[0>l?1:0])?l:null));function et(l,e,t){let n=l.axes[t],i=n.scale,o=l.scales[i],s=l.valToPos,r=n._space,u=s(10,i),a=s(9,i)-u<r?s(7,i)-u<r?s(5,i)-u<r?Qe:Ze:Xe:Ke;if(a==Qe){let l=ol(s(1,i)-u);if(r>l)return lt(e.slice().reverse(),o.distr,a,ul(r/l)).reverse()}return lt(e,o.distr,a,1)}function tt(l,e,t){let n=l.axes[t],i=n.scale,o=n._space,s=l.valToPos,r=ol(s(1,i)-s(2,i));return o>r?lt(e.slice().reverse(),3,Ke,ul(o/r)).reverse():e}function nt(l,e,t,n){return null==n?w:null==e?"":tl(e)}const it={show:!0,scale:"y",stroke:u,space:30,gap:5,alignTo:1,size:50,labelGap:0,labelSize:30,labelFont:je,side:3,grid:Ie,ticks:Le,border:Oe,font:Ne,lineGap:1.5,rotate:0},ot={scale:null,auto:!0,sorted:0,min:gl,max:-gl},st=(l,e,t,n,i)=>i,rt={show:!0,auto:!0,sorted:0,gaps:st,alpha:1,facets:[Bl({},ot,{scale:"x"}),Bl({},ot,{scale:"y"})]},ut={scale:"y",auto:!0,sorted:0,show:!0,spanGaps:!1,gaps:st,alpha:1,points:{show:function(l,e){let{scale:t,idxs:n}=l.series[0],i=l._data[0],o=l.valToPos(i[n[0]],t,!0),s=l.valToPos(i[n[1]],t,!0);return ol(s-o)/(l.series[e].points.space*y)>=n[1]-n[0]},filter:null},values:null,min:gl,max:-gl,idxs:[],path:null,clip:null};function at(l,e,t){return t/10}const ft={time:!0,auto:!0,distr:1,log:10,asinh:1,min:null,max:null,dir:1,ori:0},ct=Bl({},ft,{time:!1,ori:1}),ht={};function dt(l){let e=ht[l];return e||(e={key:l,plots:[],sub(l){e.plots.push(l)},unsub(l){e.plots=e.plots.filter((e=>e!=l))},pub(l,t,n,i,o,s,r){for(let u=0;e.plots.length>u;u++)e.plots[u]!=t&&e.plots[u].pub(l,t,n,i,o,s,r)}},null!=l&&(ht[l]=e)),e}function pt(l,e,t){const n=l.mode,i=l.series[e],o=2==n?l._data[e]:l._data,s=l.scales,r=l.bbox;let u=o[0],a=2==n?o[1]:o[e],f=2==n?s[i.facets[0].scale]:s[l.series[0].scale],c=2==n?s[i.facets[1].scale]:s[i.scale],h=r.left,d=r.top,p=r.width,m=r.height,g=l.valToPosH,x=l.valToPosV;return 0==f.ori?t(i,u,a,f,c,g,x,h,d,p,m,kt,Mt,Tt,zt,Pt):t(i,u,a,f,c,x,g,d,h,m,p,yt,St,Et,Dt,At)}function mt(l,e){let t=0,n=0,i=Q(l.bands,Fl);for(let l=0;i.length>l;l++){let o=i[l];o.series[0]==e?t=o.dir:o.series[1]==e&&(n|=1==o.dir?1:2)}return[t,1==n?-1:2==n?1:3==n?2:0]}function gt(l,e,t,n,i){let o=l.series[e],s=l.scales[2==l.mode?o.facets[1].scale:o.scale];return-1==i?s.min:1==i?s.max:3==s.distr?1==s.dir?s.min:s.max:0}function xt(l,e,t,n,i,o){return pt(l,e,((l,e,s,r,u,a,f,c,h,d,p)=>{let m=l.pxRound;const g=0==r.ori?Mt:St;let x,w;1==r.dir*(0==r.ori?1:-1)?(x=t,w=n):(x=n,w=t);let _=m(a(e[x],r,d,c)),b=m(f(s[x],u,p,h)),v=m(a(e[w],r,d,c)),k=m(f(1==o?u.max:u.min,u,p,h)),y=new Path2D(i);return g(y,v,k),g(y,_,k),g(y,_,b),y}))}function wt(l,e,t,n,i,o){let s=null;if(l.length>0){s=new Path2D;const r=0==e?Tt:Et;let u=t;for(let e=0;l.length>e;e++){let t=l[e];if(t[1]>t[0]){let l=t[0]-u;l>0&&r(s,u,n,l,n+o),u=t[1]}}let a=t+i-u,f=10;a>0&&r(s,u,n-f/2,a,n+o+f)}return s}function _t(l,e,t,n,i,o,s){let r=[],u=l.length;for(let a=1==i?t:n;a>=t&&n>=a;a+=i)if(null===e[a]){let f=a,c=a;if(1==i)for(;++a<=n&&null===e[a];)c=a;else for(;--a>=t&&null===e[a];)c=a;let h=o(l[f]),d=c==f?h:o(l[c]),p=f-i;h=s>0||0>p||p>=u?h:o(l[p]);let m=c+i;d=0>s||0>m||m>=u?d:o(l[m]),h>d||r.push([h,d])}return r}function bt(l){return 0==l?vl:1==l?rl:e=>zl(e,l)}function vt(l){let e=0==l?kt:yt,t=0==l?(l,e,t,n,i,o)=>{l.arcTo(e,t,n,i,o)}:(l,e,t,n,i,o)=>{l.arcTo(t,e,i,n,o)},n=0==l?(l,e,t,n,i)=>{l.rect(e,t,n,i)}:(l,e,t,n,i)=>{l.rect(t,e,i,n)};return(l,i,o,s,r,u=0,a=0)=>{0==u&&0==a?n(l,i,o,s,r):(u=al(u,s/2,r/2),a=al(a,s/2,r/2),e(l,i+u,o),t(l,i+s,o,i+s,o+r,u),t(l,i+s,o+r,i,o+r,a),t(l,i,o+r,i,o,a),t(l,i,o,i+s,o,u),l.closePath())}}const kt=(l,e,t)=>{l.moveTo(e,t)},yt=(l,e,t)=>{l.moveTo(t,e)},Mt=(l,e,t)=>{l.lineTo(e,t)},St=(l,e,t)=>{l.lineTo(t,e)},Tt=vt(0),Et=vt(1),zt=(l,e,t,n,i,o)=>{l.arc(e,t,n,i,o)},Dt=(l,e,t,n,i,o)=>{l.arc(t,e,n,i,o)},Pt=(l,e,t,n,i,o,s)=>{l.bezierCurveTo(e,t,n,i,o,s)},At=(l,e,t,n,i,o,s)=>{l.bezierCurveTo(t,e,i,n,s,o)};function Wt(){return(l,e,t,n,i)=>pt(l,e,((e,o,s,r,u,a,f,c,h,d,p)=>{let m,g,{pxRound:x,points:w}=e;0==r.ori?(m=kt,g=zt):(m=yt,g=Dt);const _=Al(w.width*y,3);let b=(w.size-w.width)/2*y,v=Al(2*b,3),k=new Path2D,M=new Path2D,{left:S,top:T,width:E,height:z}=l.bbox;Tt(M,S-v,T-v,E+2*v,z+2*v);const D=l=>{if(null!=s[l]){let e=x(a(o[l],r,d,c)),t=x(f(s[l],u,p,h));m(k,e+b,t),g(k,e,t,b,0,2*il)}};if(i)i.forEach(D);else for(let l=t;n>=l;l++)D(l);return{stroke:_>0?k:null,fill:k,clip:M,flags:3}}))}function Yt(l){return(e,t,n,i,o,s)=>{n!=i&&(o!=n&&s!=n&&l(e,t,n),o!=i&&s!=i&&l(e,t,i),l(e,t,s))}}const Ct=Yt(Mt),Ht=Yt(St);function Ft(l){const e=Q(l?.alignGaps,0);return(l,t,n,i)=>pt(l,t,((o,s,r,u,a,f,c,h,d,p,m)=>{[n,i]=U(r,n,i);let g,x,w=o.pxRound,_=l=>w(f(l,u,p,h)),b=l=>w(c(l,a,m,d));0==u.ori?(g=Mt,x=Ct):(g=St,x=Ht);const v=u.dir*(0==u.ori?1:-1),k={stroke:new Path2D,fill:null,clip:null,band:null,gaps:null,flags:1},y=k.stroke;let M=!1;if(i-n<4*p)for(let l=1==v?n:i;l>=n&&i>=l;l+=v){let e=r[l];null===e?M=!0:null!=e&&g(y,_(s[l]),b(e))}else{let e,t,o,a=e=>l.posToVal(e,u.key,!0),f=null,c=null,h=_(s[1==v?n:i]),d=_(s[n]),p=_(s[i]),m=a(1==v?d+1:p-1);for(let l=1==v?n:i;l>=n&&i>=l;l+=v){let n=s[l],i=(1==v?m>n:n>m)?h:_(n),o=r[l];i==h?null!=o?(t=o,null==f?(g(y,i,b(t)),e=f=c=t):f>t?f=t:t>c&&(c=t)):null===o&&(M=!0):(null!=f&&x(y,h,b(f),b(c),b(e),b(t)),null!=o?(t=o,g(y,i,b(t)),f=c=e=t):(f=c=null,null===o&&(M=!0)),h=i,m=a(h+v))}null!=f&&f!=c&&o!=h&&x(y,h,b(f),b(c),b(e),b(t))}let[S,T]=mt(l,t);if(null!=o.fill||0!=S){let e=k.fill=new Path2D(y),r=b(o.fillTo(l,t,o.min,o.max,S)),u=_(s[n]),a=_(s[i]);-1==v&&([a,u]=[u,a]),g(e,a,r),g(e,u,r)}if(!o.spanGaps){let a=[];M&&a.push(..._t(s,r,n,i,v,_,e)),k.gaps=a=o.gaps(l,t,n,i,a),k.clip=wt(a,u.ori,h,d,p,m)}return 0!=T&&(k.band=2==T?[xt(l,t,n,i,y,-1),xt(l,t,n,i,y,1)]:xt(l,t,n,i,y,T)),k}))}function Rt(l,e,t,n,i,o,s=gl){if(l.length>1){let r=null;for(let u=0,a=1/0;l.length>u;u++)if(void 0!==e[u]){if(null!=r){let e=ol(l[u]-l[r]);a>e&&(a=e,s=ol(t(l[u],n,i,o)-t(l[r],n,i,o)))}r=u}}return s}function Gt(l,e,t,n,i){const o=l.length;if(2>o)return null;const s=new Path2D;if(t(s,l[0],e[0]),2==o)n(s,l[1],e[1]);else{let t=Array(o),n=Array(o-1),r=Array(o-1),u=Array(o-1);for(let t=0;o-1>t;t++)r[t]=e[t+1]-e[t],u[t]=l[t+1]-l[t],n[t]=r[t]/u[t];t[0]=n[0];for(let l=1;o-1>l;l++)0===n[l]||0===n[l-1]||n[l-1]>0!=n[l]>0?t[l]=0:(t[l]=3*(u[l-1]+u[l])/((2*u[l]+u[l-1])/n[l-1]+(u[l]+2*u[l-1])/n[l]),isFinite(t[l])||(t[l]=0));t[o-1]=n[o-2];for(let n=0;o-1>n;n++)i(s,l[n]+u[n]/3,e[n]+t[n]*u[n]/3,l[n+1]-u[n]/3,e[n+1]-t[n+1]*u[n]/3,l[n+1],e[n+1])}return s}const It=new Set;function Lt(){for(let l of It)l.syncRect(!0)}_&&(G("resize",v,Lt),G("scroll",v,Lt,!0),G(x,v,(()=>{en.pxRatio=y})));const Ot=Ft(),Nt=Wt();function jt(l,e,t,n){return(n?[l[0],l[1]].concat(l.slice(2)):[l[0]].concat(l.slice(1))).map(((l,n)=>Ut(l,n,e,t)))}function Ut(l,e,t,n){return Bl({},0==e?t:n,l)}function Vt(l,e,t){return null==e?Rl:[e,t]}const Bt=Vt;function $t(l,e,t){return null==e?Rl:Z(e,t,J,!0)}function Jt(l,e,t,n){return null==e?Rl:B(e,t,l.scales[n].log,!1)}const qt=Jt;function Kt(l,e,t,n){return null==e?Rl:$(e,t,l.scales[n].log,!1)}const Xt=Kt;function Zt(l,e,t,n,i){let o=fl(xl(l),xl(e)),s=e-l,r=L(i/n*s,t);do{let l=t[r],e=n*l/s;if(e>=i&&17>=o+(5>l?Wl.get(l):0))return[l,e]}while(++r<t.length);return[0,0]}function Qt(l){let e,t;return[l=l.replace(/(\d+)px/,((l,n)=>(e=rl((t=+n)*y))+"px")),e,t]}function ln(l){l.show&&[l.font,l.labelFont].forEach((l=>{let e=Al(l[2]*y,1);l[0]=l[0].replace(/[0-9.]+px/,e+"px"),l[1]=e}))}function en(u,g,_){const k={mode:Q(u.mode,1)},M=k.mode;function P(l,e,t,n){let i=e.valToPct(l);return n+t*(-1==e.dir?1-i:i)}function W(l,e,t,n){let i=e.valToPct(l);return n+t*(-1==e.dir?i:1-i)}function C(l,e,t,n){return 0==e.ori?P(l,e,t,n):W(l,e,t,n)}k.valToPosH=P,k.valToPosV=W;let F=!1;k.status=0;const R=k.root=D("uplot");null!=u.id&&(R.id=u.id),S(R,u.class),u.title&&(D("u-title",R).textContent=u.title);const O=z("canvas"),K=k.ctx=O.getContext("2d"),X=D("u-wrap",R);G("click",X,(l=>{l.target===el&&(Nn!=Gn||jn!=In)&&Zn.click(k,l)}),!0);const ll=k.under=D("u-under",X);X.appendChild(O);const el=k.over=D("u-over",X),tl=+Q((u=Vl(u)).pxAlign,1),sl=bt(tl);(u.plugins||[]).forEach((l=>{l.opts&&(u=l.opts(k,u)||u)}));const hl=u.ms||.001,pl=k.series=1==M?jt(u.series||[],Ve,ut,!1):function(l,e){return l.map(((l,t)=>0==t?{}:Bl({},e,l)))}(u.series||[null],rt),xl=k.axes=jt(u.axes||[],Ue,it,!0),vl=k.scales={},Tl=k.bands=u.bands||[];Tl.forEach((l=>{l.fill=bl(l.fill||null),l.dir=Q(l.dir,-1)}));const El=2==M?pl[1].facets[0].scale:pl[0].scale,Dl={axes:function(){for(let l=0;xl.length>l;l++){let e=xl[l];if(!e.show||!e._show)continue;let t,n,u=e.side,a=u%2,f=e.stroke(k,l),c=0==u||3==u?-1:1,[h,d]=e._found;if(null!=e.label){let s=rl((e._lpos+e.labelGap*c)*y);_n(e.labelFont[0],f,"center",2==u?i:o),K.save(),1==a?(t=n=0,K.translate(s,rl(lt+st/2)),K.rotate((3==u?-il:il)/2)):(t=rl(Qe+ot/2),n=s);let r=_l(e.label)?e.label(k,l,h,d):e.label;K.fillText(r,t,n),K.restore()}if(0==d)continue;let p=vl[e.scale],m=0==a?ot:st,g=0==a?Qe:lt,x=e._splits,w=2==p.distr?x.map((l=>pn[l])):x,_=2==p.distr?pn[x[1]]-pn[x[0]]:h,b=e.ticks,v=e.border,M=b.show?b.size:0,S=rl(M*y),T=rl((2==e.alignTo?e._size-M-e.gap:e.gap)*y),E=e._rotate*-il/180,z=sl(e._pos*y),D=z+(S+T)*c;n=0==a?D:0,t=1==a?D:0,_n(e.font[0],f,1==e.align?s:2==e.align?r:E>0?s:0>E?r:0==a?"center":3==u?r:s,E||1==a?"middle":2==u?i:o);let P=e.font[1]*e.lineGap,A=x.map((l=>sl(C(l,p,m,g)))),W=e._values;for(let l=0;W.length>l;l++){let e=W[l];if(null!=e){0==a?t=A[l]:n=A[l],e=""+e;let i=-1==e.indexOf("\n")?[e]:e.split(/\n/gm);for(let l=0;i.length>l;l++){let e=i[l];E?(K.save(),K.translate(t,n+l*P),K.rotate(E),K.fillText(e,0,0),K.restore()):K.fillText(e,t,n+l*P)}}}b.show&&zn(A,b.filter(k,w,l,d,_),a,u,z,S,Al(b.width*y,3),b.stroke(k,l),b.dash,b.cap);let Y=e.grid;Y.show&&zn(A,Y.filter(k,w,l,d,_),a,0==a?2:1,0==a?lt:Qe,0==a?st:ot,Al(Y.width*y,3),Y.stroke(k,l),Y.dash,Y.cap),v.show&&zn([z],[1],0==a?1:0,0==a?1:2,1==a?lt:Qe,1==a?st:ot,Al(v.width*y,3),v.stroke(k,l),v.dash,v.cap)}Ci("drawAxes")},series:function(){if(Gt>0){let l=pl.some((l=>l._focus))&&dn!=Tt.alpha;l&&(K.globalAlpha=dn=Tt.alpha),pl.forEach(((l,e)=>{if(e>0&&l.show&&(kn(e,!1),kn(e,!0),null==l._paths)){let t=dn;dn!=l.alpha&&(K.globalAlpha=dn=l.alpha);let n=2==M?[0,g[e][0].length-1]:function(l){let e=wl(Lt-1,0,Gt-1),t=wl(en+1,0,Gt-1);for(;null==l[e]&&e>0;)e--;for(;null==l[t]&&Gt-1>t;)t++;return[e,t]}(g[e]);l._paths=l.paths(k,e,n[0],n[1]),dn!=t&&(K.globalAlpha=dn=t)}})),pl.forEach(((l,e)=>{if(e>0&&l.show){let t=dn;dn!=l.alpha&&(K.globalAlpha=dn=l.alpha),null!=l._paths&&yn(e,!1);{let t=null!=l._paths?l._paths.gaps:null,n=l.points.show(k,e,Lt,en,t),i=l.points.filter(k,e,n,t);(n||i)&&(l.points._paths=l.points.paths(k,e,Lt,en,i),yn(e,!0))}dn!=t&&(K.globalAlpha=dn=t),Ci("drawSeries",e)}})),l&&(K.globalAlpha=dn=1)}}},Pl=(u.drawOrder||["axes","series"]).map((l=>Dl[l]));function Cl(l){const e=3==l.distr?e=>dl(e>0?e:l.clamp(k,e,l.min,l.max,l.key)):4==l.distr?e=>ml(e,l.asinh):100==l.distr?e=>l.fwd(e):l=>l;return t=>{let n=e(t),{_min:i,_max:o}=l;return(n-i)/(o-i)}}function Il(l){let e=vl[l];if(null==e){let t=(u.scales||Hl)[l]||Hl;if(null!=t.from){Il(t.from);let e=Bl({},vl[t.from],t,{key:l});e.valToPct=Cl(e),vl[l]=e}else{e=vl[l]=Bl({},l==El?ft:ct,t),e.key=l;let n=e.time,i=e.range,o=Gl(i);if((l!=El||2==M&&!n)&&(!o||null!=i[0]&&null!=i[1]||(i={min:null==i[0]?q:{mode:1,hard:i[0],soft:i[0]},max:null==i[1]?q:{mode:1,hard:i[1],soft:i[1]}},o=!1),!o&&Ol(i))){let l=i;i=(e,t,n)=>null==t?Rl:Z(t,n,l)}e.range=bl(i||(n?Bt:l==El?3==e.distr?qt:4==e.distr?Xt:Vt:3==e.distr?Jt:4==e.distr?Kt:$t)),e.auto=bl(!o&&e.auto),e.clamp=bl(e.clamp||at),e._min=e._max=null,e.valToPct=Cl(e)}}}Il("x"),Il("y"),1==M&&pl.forEach((l=>{Il(l.scale)})),xl.forEach((l=>{Il(l.scale)}));for(let l in u.scales)Il(l);const jl=vl[El],Ul=jl.distr;let $l,ql;0==jl.ori?(S(R,"u-hz"),$l=P,ql=W):(S(R,"u-vt"),$l=W,ql=P);const Kl={};for(let l in vl){let e=vl[l];null==e.min&&null==e.max||(Kl[l]={min:e.min,max:e.max},e.min=e.max=null)}const Xl=u.tzDate||(l=>new Date(rl(l/hl))),Zl=u.fmtDate||ne,Ql=1==hl?Me(Xl):Ee(Xl),le=De(Xl,ze(1==hl?ye:Te,Zl)),ee=We(Xl,Ae("{YYYY}-{MM}-{DD} {h}:{mm}{aa}",Zl)),te=[],ie=k.legend=Bl({},Ye,u.legend),oe=k.cursor=Bl({},Re,{drag:{y:2==M}},u.cursor),se=ie.show,re=oe.show,ue=ie.markers;let ce,he,de;ie.idxs=te,ue.width=bl(ue.width),ue.dash=bl(ue.dash),ue.stroke=bl(ue.stroke),ue.fill=bl(ue.fill);let pe,me=[],ge=[],xe=!1,we={};if(ie.live){const l=pl[1]?pl[1].values:null;xe=null!=l,pe=xe?l(k,1,0):{_:0};for(let l in pe)we[l]=w}if(se)if(ce=z("table","u-legend",R),de=z("tbody",null,ce),ie.mount(k,ce),xe){he=z("thead",null,ce,de);let l=z("tr",null,he);for(var _e in z("th",null,l),pe)z("th",e,l).textContent=_e}else S(ce,"u-inline"),ie.live&&S(ce,"u-live");const be={show:!0},ve={show:!1},Pe=new Map;function Ce(l,e,t,n=!0){const i=Pe.get(e)||{},o=oe.bind[l](k,e,t,n);o&&(G(l,e,i[l]=o),Pe.set(e,i))}function He(l,e){const t=Pe.get(e)||{};for(let n in t)null!=l&&n!=l||(I(n,e,t[n]),delete t[n]);null==l&&Pe.delete(e)}let Fe=0,Ge=0,Ie=0,Le=0,Oe=0,Ne=0,je=Oe,Ke=Ne,Xe=Ie,Ze=Le,Qe=0,lt=0,ot=0,st=0;k.bbox={};let ht=!1,pt=!1,mt=!1,xt=!1,wt=!1,_t=!1;function vt(l,e,t){(t||l!=k.width||e!=k.height)&&kt(l,e),An(!1),mt=!0,pt=!0,Jn()}function kt(l,e){k.width=Fe=Ie=l,k.height=Ge=Le=e,Oe=Ne=0,function(){let l=!1,e=!1,t=!1,n=!1;xl.forEach((i=>{if(i.show&&i._show){let{side:o,_size:s}=i,r=s+(null!=i.label?i.labelSize:0);r>0&&(o%2?(Ie-=r,3==o?(Oe+=r,n=!0):t=!0):(Le-=r,0==o?(Ne+=r,l=!0):e=!0))}})),Ct[0]=l,Ct[1]=t,Ct[2]=e,Ct[3]=n,Ie-=Rt[1]+Rt[3],Oe+=Rt[3],Le-=Rt[2]+Rt[0],Ne+=Rt[0]}(),function(){let l=Oe+Ie,e=Ne+Le,t=Oe,n=Ne;function i(i,o){switch(i){case 1:return l+=o,l-o;case 2:return e+=o,e-o;case 3:return t-=o,t+o;case 0:return n-=o,n+o}}xl.forEach((l=>{if(l.show&&l._show){let e=l.side;l._pos=i(e,l._size),null!=l.label&&(l._lpos=i(e,l.labelSize))}}))}();let t=k.bbox;Qe=t.left=zl(Oe*y,.5),lt=t.top=zl(Ne*y,.5),ot=t.width=zl(Ie*y,.5),st=t.height=zl(Le*y,.5)}const yt=3;if(k.setSize=function({width:l,height:e}){vt(l,e)},null==oe.dataIdx){let l=oe.hover,e=l.skip=new Set(l.skip??[]);e.add(void 0);let t=l.prox=bl(l.prox),n=l.bias??=0;oe.dataIdx=(l,i,o,s)=>{if(0==i)return o;let r=o,u=t(l,i,o,s)??gl,a=u>=0&&gl>u,f=0==jl.ori?Ie:Le,c=oe.left,h=g[0],d=g[i];if(e.has(d[o])){r=null;let l,t=null,i=null;if(0==n||-1==n)for(l=o;null==t&&l-- >0;)e.has(d[l])||(t=l);if(0==n||1==n)for(l=o;null==i&&l++<d.length;)e.has(d[l])||(i=l);if(null!=t||null!=i)if(a){let l=c-(null==t?-1/0:$l(h[t],jl,f,0)),e=(null==i?1/0:$l(h[i],jl,f,0))-c;l>e?e>u||(r=i):l>u||(r=t)}else r=null==i?t:null==t||o-t>i-o?i:t}else a&&ol(c-$l(h[o],jl,f,0))>u&&(r=null);return r}}const Mt=l=>{oe.event=l};oe.idxs=te,oe._lock=!1;let St=oe.points;St.show=bl(St.show),St.size=bl(St.size),St.stroke=bl(St.stroke),St.width=bl(St.width),St.fill=bl(St.fill);const Tt=k.focus=Bl({},u.focus||{alpha:.3},oe.focus),Et=Tt.prox>=0,zt=Et&&St.one;let Dt=[],Pt=[],At=[];function Wt(l,e){let t=St.show(k,e);if(t instanceof HTMLElement)return S(t,"u-cursor-pt"),S(t,l.class),A(t,-10,-10,Ie,Le),el.insertBefore(t,Dt[e]),t}function Yt(t,n){if(1==M||n>0){let l=1==M&&vl[t.scale].time,e=t.value;t.value=l?Ll(e)?We(Xl,Ae(e,Zl)):e||ee:e||nt,t.label=t.label||(l?"Time":"Value")}if(zt||n>0){t.width=null==t.width?1:t.width,t.paths=t.paths||Ot||yl,t.fillTo=bl(t.fillTo||gt),t.pxAlign=+Q(t.pxAlign,tl),t.pxRound=bt(t.pxAlign),t.stroke=bl(t.stroke||null),t.fill=bl(t.fill||null),t._stroke=t._fill=t._paths=t._focus=null;let l=function(l){return Al(1*(3+2*(l||1)),3)}(fl(1,t.width)),e=t.points=Bl({},{size:l,width:fl(1,.2*l),stroke:t.stroke,space:2*l,paths:Nt,_stroke:null,_fill:null},t.points);e.show=bl(e.show),e.filter=bl(e.filter),e.fill=bl(e.fill),e.stroke=bl(e.stroke),e.paths=bl(e.paths),e.pxAlign=t.pxAlign}if(se){let i=function(t,n){if(0==n&&(xe||!ie.live||2==M))return Rl;let i=[],o=z("tr","u-series",de,de.childNodes[n]);S(o,t.class),t.show||S(o,l);let s=z("th",null,o);if(ue.show){let l=D("u-marker",s);if(n>0){let e=ue.width(k,n);e&&(l.style.border=e+"px "+ue.dash(k,n)+" "+ue.stroke(k,n)),l.style.background=ue.fill(k,n)}}let r=D(e,s);for(var u in t.label instanceof HTMLElement?r.appendChild(t.label):r.textContent=t.label,n>0&&(ue.show||(r.style.color=t.width>0?ue.stroke(k,n):ue.fill(k,n)),Ce("click",s,(l=>{if(oe._lock)return;Mt(l);let e=pl.indexOf(t);if((l.ctrlKey||l.metaKey)!=ie.isolate){let l=pl.some(((l,t)=>t>0&&t!=e&&l.show));pl.forEach(((t,n)=>{n>0&&oi(n,l?n==e?be:ve:be,!0,Fi.setSeries)}))}else oi(e,{show:!t.show},!0,Fi.setSeries)}),!1),Et&&Ce(d,s,(l=>{oe._lock||(Mt(l),oi(pl.indexOf(t),ai,!0,Fi.setSeries))}),!1)),pe){let l=z("td","u-value",o);l.textContent="--",i.push(l)}return[o,i]}(t,n);me.splice(n,0,i[0]),ge.splice(n,0,i[1]),ie.values.push(null)}if(re){te.splice(n,0,null);let l=null;zt?0==n&&(l=Wt(t,n)):n>0&&(l=Wt(t,n)),Dt.splice(n,0,l),Pt.splice(n,0,0),At.splice(n,0,0)}Ci("addSeries",n)}k.addSeries=function(l,e){e=null==e?pl.length:e,l=1==M?Ut(l,e,Ve,ut):Ut(l,e,{},rt),pl.splice(e,0,l),Yt(pl[e],e)},k.delSeries=function(l){if(pl.splice(l,1),se){ie.values.splice(l,1),ge.splice(l,1);let e=me.splice(l,1)[0];He(null,e.firstChild),e.remove()}re&&(te.splice(l,1),Dt.splice(l,1)[0].remove(),Pt.splice(l,1),At.splice(l,1)),Ci("delSeries",l)};const Ct=[!1,!1,!1,!1];function Ht(l,e,t){let[n,i,o,s]=t,r=e%2,u=0;return 0==r&&(s||i)&&(u=0==e&&!n||2==e&&!o?rl(Ue.size/3):0),1==r&&(n||o)&&(u=1==e&&!i||3==e&&!s?rl(it.size/2):0),u}const Ft=k.padding=(u.padding||[Ht,Ht,Ht,Ht]).map((l=>bl(Q(l,Ht)))),Rt=k._padding=Ft.map(((l,e)=>l(k,e,Ct,0)));let Gt,Lt=null,en=null;const tn=1==M?pl[0].idxs:null;let nn,on,sn,rn,un,an,fn,cn,hn,dn,pn=null,mn=!1;function gn(l,e){if(k.data=k._data=g=null==l?[]:l,2==M){Gt=0;for(let l=1;pl.length>l;l++)Gt+=g[l][0].length}else{0==g.length&&(k.data=k._data=g=[[]]),pn=g[0],Gt=pn.length;let l=g;if(2==Ul){l=g.slice();let e=l[0]=Array(Gt);for(let l=0;Gt>l;l++)e[l]=l}k._data=g=l}if(An(!0),Ci("setData"),2==Ul&&(mt=!0),!1!==e){let l=jl;l.auto(k,mn)?xn():ii(El,l.min,l.max),xt=xt||oe.left>=0,_t=!0,Jn()}}function xn(){let l,e;mn=!0,1==M&&(Gt>0?(Lt=tn[0]=0,en=tn[1]=Gt-1,l=g[0][Lt],e=g[0][en],2==Ul?(l=Lt,e=en):l==e&&(3==Ul?[l,e]=B(l,l,jl.log,!1):4==Ul?[l,e]=$(l,l,jl.log,!1):jl.time?e=l+rl(86400/hl):[l,e]=Z(l,e,J,!0))):(Lt=tn[0]=l=null,en=tn[1]=e=null)),ii(El,l,e)}function wn(l,e,t,n,i,o){l??=a,t??=Fl,n??="butt",i??=a,o??="round",l!=nn&&(K.strokeStyle=nn=l),i!=on&&(K.fillStyle=on=i),e!=sn&&(K.lineWidth=sn=e),o!=un&&(K.lineJoin=un=o),n!=an&&(K.lineCap=an=n),t!=rn&&K.setLineDash(rn=t)}function _n(l,e,t,n){e!=on&&(K.fillStyle=on=e),l!=fn&&(K.font=fn=l),t!=cn&&(K.textAlign=cn=t),n!=hn&&(K.textBaseline=hn=n)}function bn(l,e,t,n,i=0){if(n.length>0&&l.auto(k,mn)&&(null==e||null==e.min)){let e=Q(Lt,0),o=Q(en,n.length-1),s=null==t.min?function(l,e,t,n=0,i=!1){let o=i?V:U,s=i?j:N;[e,t]=o(l,e,t);let r=l[e],u=l[e];if(e>-1)if(1==n)r=l[e],u=l[t];else if(-1==n)r=l[t],u=l[e];else for(let n=e;t>=n;n++){let e=l[n];s(e)&&(r>e?r=e:e>u&&(u=e))}return[r??gl,u??-gl]}(n,e,o,i,3==l.distr):[t.min,t.max];l.min=al(l.min,t.min=s[0]),l.max=fl(l.max,t.max=s[1])}}k.setData=gn;const vn={min:null,max:null};function kn(l,e){let t=e?pl[l].points:pl[l];t._stroke=t.stroke(k,l),t._fill=t.fill(k,l)}function yn(l,e){let t=e?pl[l].points:pl[l],{stroke:n,fill:i,clip:o,flags:s,_stroke:r=t._stroke,_fill:u=t._fill,_width:a=t.width}=t._paths;a=Al(a*y,3);let f=null,c=a%2/2;e&&null==u&&(u=a>0?"#fff":r);let h=1==t.pxAlign&&c>0;if(h&&K.translate(c,c),!e){let l=Qe-a/2,e=lt-a/2,t=ot+a,n=st+a;f=new Path2D,f.rect(l,e,t,n)}e?Sn(r,a,t.dash,t.cap,u,n,i,s,o):function(l,e,t,n,i,o,s,r,u,a,f){let c=!1;0!=u&&Tl.forEach(((h,d)=>{if(h.series[0]==l){let l,p=pl[h.series[1]],m=g[h.series[1]],x=(p._paths||Hl).band;Gl(x)&&(x=1==h.dir?x[0]:x[1]);let w=null;p.show&&x&&function(l,e,t){for(e=Q(e,0),t=Q(t,l.length-1);t>=e;){if(null!=l[e])return!0;e++}return!1}(m,Lt,en)?(w=h.fill(k,d)||o,l=p._paths.clip):x=null,Sn(e,t,n,i,w,s,r,u,a,f,l,x),c=!0}})),c||Sn(e,t,n,i,o,s,r,u,a,f)}(l,r,a,t.dash,t.cap,u,n,i,s,f,o),h&&K.translate(-c,-c)}const Mn=3;function Sn(l,e,t,n,i,o,s,r,u,a,f,c){wn(l,e,t,n,i),(u||a||c)&&(K.save(),u&&K.clip(u),a&&K.clip(a)),c?(r&Mn)==Mn?(K.clip(c),f&&K.clip(f),En(i,s),Tn(l,o,e)):2&r?(En(i,s),K.clip(c),Tn(l,o,e)):1&r&&(K.save(),K.clip(c),f&&K.clip(f),En(i,s),K.restore(),Tn(l,o,e)):(En(i,s),Tn(l,o,e)),(u||a||c)&&K.restore()}function Tn(l,e,t){t>0&&(e instanceof Map?e.forEach(((l,e)=>{K.strokeStyle=nn=e,K.stroke(l)})):null!=e&&l&&K.stroke(e))}function En(l,e){e instanceof Map?e.forEach(((l,e)=>{K.fillStyle=on=e,K.fill(l)})):null!=e&&l&&K.fill(e)}function zn(l,e,t,n,i,o,s,r,u,a){let f=s%2/2;1==tl&&K.translate(f,f),wn(r,s,u,a,r),K.beginPath();let c,h,d,p,m=i+(0==n||3==n?-o:o);0==t?(h=i,p=m):(c=i,d=m);for(let n=0;l.length>n;n++)null!=e[n]&&(0==t?c=d=l[n]:h=p=l[n],K.moveTo(c,h),K.lineTo(d,p));K.stroke(),1==tl&&K.translate(-f,-f)}function Dn(l){let e=!0;return xl.forEach(((t,n)=>{if(!t.show)return;let i=vl[t.scale];if(null==i.min)return void(t._show&&(e=!1,t._show=!1,An(!1)));t._show||(e=!1,t._show=!0,An(!1));let o=t.side,s=o%2,{min:r,max:u}=i,[a,f]=function(l,e,t,n){let i,o=xl[l];if(n>0){let s=o._space=o.space(k,l,e,t,n);i=Zt(e,t,o._incrs=o.incrs(k,l,e,t,n,s),n,s)}else i=[0,0];return o._found=i}(n,r,u,0==s?Ie:Le);if(0==f)return;let c=t._splits=t.splits(k,n,r,u,a,f,2==i.distr),h=2==i.distr?c.map((l=>pn[l])):c,d=2==i.distr?pn[c[1]]-pn[c[0]]:a,p=t._values=t.values(k,t.filter(k,h,n,f,d),n,f,d);t._rotate=2==o?t.rotate(k,p,n,f):0;let m=t._size;t._size=ul(t.size(k,p,n,l)),null!=m&&t._size!=m&&(e=!1)})),e}function Pn(l){let e=!0;return Ft.forEach(((t,n)=>{let i=t(k,n,Ct,l);i!=Rt[n]&&(e=!1),Rt[n]=i})),e}function An(l){pl.forEach(((e,t)=>{t>0&&(e._paths=null,l&&(1==M?(e.min=null,e.max=null):e.facets.forEach((l=>{l.min=null,l.max=null}))))}))}let Wn,Yn,Cn,Hn,Fn,Rn,Gn,In,Ln,On,Nn,jn,Un=!1,Vn=!1,Bn=[];function $n(){Vn=!1;for(let l=0;Bn.length>l;l++)Ci(...Bn[l]);Bn.length=0}function Jn(){Un||(Jl(qn),Un=!0)}function qn(){if(ht&&(function(){for(let l in vl){let e=vl[l];null==Kl[l]&&(null==e.min||null!=Kl[El]&&e.auto(k,mn))&&(Kl[l]=vn)}for(let l in vl){let e=vl[l];null==Kl[l]&&null!=e.from&&null!=Kl[e.from]&&(Kl[l]=vn)}null!=Kl[El]&&An(!0);let l={};for(let e in Kl){let t=Kl[e];if(null!=t){let n=l[e]=Vl(vl[e],Nl);if(null!=t.min)Bl(n,t);else if(e!=El||2==M)if(0==Gt&&null==n.from){let l=n.range(k,null,null,e);n.min=l[0],n.max=l[1]}else n.min=gl,n.max=-gl}}if(Gt>0){pl.forEach(((e,t)=>{if(1==M){let n=e.scale,i=Kl[n];if(null==i)return;let o=l[n];if(0==t){let l=o.range(k,o.min,o.max,n);o.min=l[0],o.max=l[1],Lt=L(o.min,g[0]),en=L(o.max,g[0]),en-Lt>1&&(o.min>g[0][Lt]&&Lt++,g[0][en]>o.max&&en--),e.min=pn[Lt],e.max=pn[en]}else e.show&&e.auto&&bn(o,i,e,g[t],e.sorted);e.idxs[0]=Lt,e.idxs[1]=en}else if(t>0&&e.show&&e.auto){let[n,i]=e.facets,o=n.scale,s=i.scale,[r,u]=g[t],a=l[o],f=l[s];null!=a&&bn(a,Kl[o],n,r,n.sorted),null!=f&&bn(f,Kl[s],i,u,i.sorted),e.min=i.min,e.max=i.max}}));for(let e in l){let t=l[e],n=Kl[e];if(null==t.from&&(null==n||null==n.min)){let l=t.range(k,t.min==gl?null:t.min,t.max==-gl?null:t.max,e);t.min=l[0],t.max=l[1]}}}for(let e in l){let t=l[e];if(null!=t.from){let n=l[t.from];if(null==n.min)t.min=t.max=null;else{let l=t.range(k,n.min,n.max,e);t.min=l[0],t.max=l[1]}}}let e={},t=!1;for(let n in l){let i=l[n],o=vl[n];if(o.min!=i.min||o.max!=i.max){o.min=i.min,o.max=i.max;let l=o.distr;o._min=3==l?dl(o.min):4==l?ml(o.min,o.asinh):100==l?o.fwd(o.min):o.min,o._max=3==l?dl(o.max):4==l?ml(o.max,o.asinh):100==l?o.fwd(o.max):o.max,e[n]=t=!0}}if(t){pl.forEach(((l,t)=>{2==M?t>0&&e.y&&(l._paths=null):e[l.scale]&&(l._paths=null)}));for(let l in e)mt=!0,Ci("setScale",l);re&&oe.left>=0&&(xt=_t=!0)}for(let l in Kl)Kl[l]=null}(),ht=!1),mt&&(function(){let l=!1,e=0;for(;!l;){e++;let t=Dn(e),n=Pn(e);l=e==yt||t&&n,l||(kt(k.width,k.height),pt=!0)}}(),mt=!1),pt){if(E(ll,s,Oe),E(ll,i,Ne),E(ll,t,Ie),E(ll,n,Le),E(el,s,Oe),E(el,i,Ne),E(el,t,Ie),E(el,n,Le),E(X,t,Fe),E(X,n,Ge),O.width=rl(Fe*y),O.height=rl(Ge*y),xl.forEach((({_el:e,_show:t,_size:n,_pos:i,side:o})=>{if(null!=e)if(t){let t=o%2==1;E(e,t?"left":"top",i-(3===o||0===o?n:0)),E(e,t?"width":"height",n),E(e,t?"top":"left",t?Ne:Oe),E(e,t?"height":"width",t?Le:Ie),T(e,l)}else S(e,l)})),nn=on=sn=un=an=fn=cn=hn=rn=null,dn=1,_i(!0),Oe!=je||Ne!=Ke||Ie!=Xe||Le!=Ze){An(!1);let l=Ie/Xe,e=Le/Ze;if(re&&!xt&&oe.left>=0){oe.left*=l,oe.top*=e,Cn&&A(Cn,rl(oe.left),0,Ie,Le),Hn&&A(Hn,0,rl(oe.top),Ie,Le);for(let t=0;Dt.length>t;t++){let n=Dt[t];null!=n&&(Pt[t]*=l,At[t]*=e,A(n,ul(Pt[t]),ul(At[t]),Ie,Le))}}if(ei.show&&!wt&&ei.left>=0&&ei.width>0){ei.left*=l,ei.width*=l,ei.top*=e,ei.height*=e;for(let l in ki)E(ti,l,ei[l])}je=Oe,Ke=Ne,Xe=Ie,Ze=Le}Ci("setSize"),pt=!1}Fe>0&&Ge>0&&(K.clearRect(0,0,O.width,O.height),Ci("drawClear"),Pl.forEach((l=>l())),Ci("draw")),ei.show&&wt&&(ni(ei),wt=!1),re&&xt&&(xi(null,!0,!1),xt=!1),ie.show&&ie.live&&_t&&(mi(),_t=!1),F||(F=!0,k.status=1,Ci("ready")),mn=!1,Un=!1}function Kn(l,e){let t=vl[l];if(null==t.from){if(0==Gt){let n=t.range(k,e.min,e.max,l);e.min=n[0],e.max=n[1]}if(e.min>e.max){let l=e.min;e.min=e.max,e.max=l}if(Gt>1&&null!=e.min&&null!=e.max&&1e-16>e.max-e.min)return;l==El&&2==t.distr&&Gt>0&&(e.min=L(e.min,g[0]),e.max=L(e.max,g[0]),e.min==e.max&&e.max++),Kl[l]=e,ht=!0,Jn()}}k.batch=function(l,e=!1){Un=!0,Vn=e,l(k),qn(),e&&Bn.length>0&&queueMicrotask($n)},k.redraw=(l,e)=>{mt=e||!1,!1!==l?ii(El,jl.min,jl.max):Jn()},k.setScale=Kn;let Xn=!1;const Zn=oe.drag;let Qn=Zn.x,li=Zn.y;re&&(oe.x&&(Wn=D("u-cursor-x",el)),oe.y&&(Yn=D("u-cursor-y",el)),0==jl.ori?(Cn=Wn,Hn=Yn):(Cn=Yn,Hn=Wn),Nn=oe.left,jn=oe.top);const ei=k.select=Bl({show:!0,over:!0,left:0,width:0,top:0,height:0},u.select),ti=ei.show?D("u-select",ei.over?el:ll):null;function ni(l,e){if(ei.show){for(let e in l)ei[e]=l[e],e in ki&&E(ti,e,l[e]);!1!==e&&Ci("setSelect")}}function ii(l,e,t){Kn(l,{min:e,max:t})}function oi(e,t,n,i){null!=t.focus&&function(l){if(l!=ui){let e=null==l,t=1!=Tt.alpha;pl.forEach(((n,i)=>{if(1==M||i>0){let o=e||0==i||i==l;n._focus=e?null:o,t&&function(l,e){pl[l].alpha=e,re&&null!=Dt[l]&&(Dt[l].style.opacity=e),se&&me[l]&&(me[l].style.opacity=e)}(i,o?1:Tt.alpha)}})),ui=l,t&&Jn()}}(e),null!=t.show&&pl.forEach(((n,i)=>{0>=i||e!=i&&null!=e||(n.show=t.show,function(e){if(pl[e].show)se&&T(me[e],l);else if(se&&S(me[e],l),re){let l=zt?Dt[0]:Dt[e];null!=l&&A(l,-10,-10,Ie,Le)}}(i),2==M?(ii(n.facets[0].scale,null,null),ii(n.facets[1].scale,null,null)):ii(n.scale,null,null),Jn())})),!1!==n&&Ci("setSeries",e,t),i&&Ii("setSeries",k,e,t)}let si,ri,ui;k.setSelect=ni,k.setSeries=oi,k.addBand=function(l,e){l.fill=bl(l.fill||null),l.dir=Q(l.dir,-1),Tl.splice(e=null==e?Tl.length:e,0,l)},k.setBand=function(l,e){Bl(Tl[l],e)},k.delBand=function(l){null==l?Tl.length=0:Tl.splice(l,1)};const ai={focus:!0};function fi(l,e,t){let n=vl[e];t&&(l=l/y-(1==n.ori?Ne:Oe));let i=Ie;1==n.ori&&(i=Le,l=i-l),-1==n.dir&&(l=i-l);let o=n._min,s=o+l/i*(n._max-o),r=n.distr;return 3==r?cl(10,s):4==r?((l,e=1)=>nl.sinh(l)*e)(s,n.asinh):100==r?n.bwd(s):s}function ci(l,e){E(ti,s,ei.left=l),E(ti,t,ei.width=e)}function hi(l,e){E(ti,i,ei.top=l),E(ti,n,ei.height=e)}se&&Et&&Ce(p,ce,(l=>{oe._lock||(Mt(l),null!=ui&&oi(null,ai,!0,Fi.setSeries))})),k.valToIdx=l=>L(l,g[0]),k.posToIdx=function(l,e){return L(fi(l,El,e),g[0],Lt,en)},k.posToVal=fi,k.valToPos=(l,e,t)=>0==vl[e].ori?P(l,vl[e],t?ot:Ie,t?Qe:0):W(l,vl[e],t?st:Le,t?lt:0),k.setCursor=(l,e,t)=>{Nn=l.left,jn=l.top,xi(null,e,t)};let di=0==jl.ori?ci:hi,pi=1==jl.ori?ci:hi;function mi(l,e){if(null!=l&&(l.idxs?l.idxs.forEach(((l,e)=>{te[e]=l})):(l=>void 0===l)(l.idx)||te.fill(l.idx),ie.idx=te[0]),se&&ie.live){for(let l=0;pl.length>l;l++)(l>0||1==M&&!xe)&&gi(l,te[l]);!function(){if(se&&ie.live)for(let l=2==M?1:0;pl.length>l;l++){if(0==l&&xe)continue;let e=ie.values[l],t=0;for(let n in e)ge[l][t++].firstChild.nodeValue=e[n]}}()}_t=!1,!1!==e&&Ci("setLegend")}function gi(l,e){let t,n=pl[l],i=0==l&&2==Ul?pn:g[l];xe?t=n.values(k,l,e)??we:(t=n.value(k,null==e?null:i[e],l,e),t=null==t?we:{_:t}),ie.values[l]=t}function xi(l,e,t){let n;Ln=Nn,On=jn,[Nn,jn]=oe.move(k,Nn,jn),oe.left=Nn,oe.top=jn,re&&(Cn&&A(Cn,rl(Nn),0,Ie,Le),Hn&&A(Hn,0,rl(jn),Ie,Le)),si=gl,ri=null;let i=0==jl.ori?Ie:Le,o=1==jl.ori?Ie:Le;if(0>Nn||0==Gt||Lt>en){n=oe.idx=null;for(let l=0;pl.length>l;l++){let e=Dt[l];null!=e&&A(e,-10,-10,Ie,Le)}Et&&oi(null,ai,!0,null==l&&Fi.setSeries),ie.live&&(te.fill(n),_t=!0)}else{let l,e,t;1==M&&(l=0==jl.ori?Nn:jn,e=fi(l,El),n=oe.idx=L(e,g[0],Lt,en),t=$l(g[0][n],jl,i,0));let s=-10,r=-10,u=0,a=0,f=!0,c="",h="";for(let l=2==M?1:0;pl.length>l;l++){let d=pl[l],p=te[l],m=null==p?null:1==M?g[l][p]:g[l][1][p],x=oe.dataIdx(k,l,n,e),w=null==x?null:1==M?g[l][x]:g[l][1][x];if(_t=_t||w!=m||x!=p,te[l]=x,l>0&&d.show){let e=null==x?-10:x==n?t:$l(1==M?g[0][x]:g[l][0][x],jl,i,0),p=null==w?-10:ql(w,1==M?vl[d.scale]:vl[d.facets[1].scale],o,0);if(Et&&null!=w){let e=1==jl.ori?Nn:jn,t=ol(Tt.dist(k,l,x,p,e));if(si>t){let n=Tt.bias;if(0!=n){let i=fi(e,d.scale),o=0>i?-1:1;o!=(0>w?-1:1)||(1==o?1==n?i>w:w>i:1==n?w>i:i>w)||(si=t,ri=l)}else si=t,ri=l}}if(_t||zt){let t,n;0==jl.ori?(t=e,n=p):(t=p,n=e);let i,o,d,m,g,x,w=!0,_=St.bbox;if(null!=_){w=!1;let e=_(k,l);d=e.left,m=e.top,i=e.width,o=e.height}else d=t,m=n,i=o=St.size(k,l);if(x=St.fill(k,l),g=St.stroke(k,l),zt)l!=ri||si>Tt.prox||(s=d,r=m,u=i,a=o,f=w,c=x,h=g);else{let e=Dt[l];null!=e&&(Pt[l]=d,At[l]=m,H(e,i,o,w),Y(e,x,g),A(e,ul(d),ul(m),Ie,Le))}}}}if(zt){let l=Tt.prox;if(_t||(null==ui?l>=si:si>l||ri!=ui)){let l=Dt[0];null!=l&&(Pt[0]=s,At[0]=r,H(l,u,a,f),Y(l,c,h),A(l,ul(s),ul(r),Ie,Le))}}}if(ei.show&&Xn)if(null!=l){let[e,t]=Fi.scales,[n,s]=Fi.match,[r,u]=l.cursor.sync.scales,a=l.cursor.drag;if(Qn=a._x,li=a._y,Qn||li){let a,f,c,h,d,{left:p,top:m,width:g,height:x}=l.select,w=l.scales[r].ori,_=l.posToVal,b=null!=e&&n(e,r),v=null!=t&&s(t,u);b&&Qn?(0==w?(a=p,f=g):(a=m,f=x),c=vl[e],h=$l(_(a,r),c,i,0),d=$l(_(a+f,r),c,i,0),di(al(h,d),ol(d-h))):di(0,i),v&&li?(1==w?(a=p,f=g):(a=m,f=x),c=vl[t],h=ql(_(a,u),c,o,0),d=ql(_(a+f,u),c,o,0),pi(al(h,d),ol(d-h))):pi(0,o)}else yi()}else{let l=ol(Ln-Fn),e=ol(On-Rn);if(1==jl.ori){let t=l;l=e,e=t}Qn=Zn.x&&l>=Zn.dist,li=Zn.y&&e>=Zn.dist;let t,n,s=Zn.uni;null!=s?Qn&&li&&(Qn=l>=s,li=e>=s,Qn||li||(e>l?li=!0:Qn=!0)):Zn.x&&Zn.y&&(Qn||li)&&(Qn=li=!0),Qn&&(0==jl.ori?(t=Gn,n=Nn):(t=In,n=jn),di(al(t,n),ol(n-t)),li||pi(0,o)),li&&(1==jl.ori?(t=Gn,n=Nn):(t=In,n=jn),pi(al(t,n),ol(n-t)),Qn||di(0,i)),Qn||li||(di(0,0),pi(0,0))}if(Zn._x=Qn,Zn._y=li,null==l){if(t){if(null!=Ri){let[l,e]=Fi.scales;Fi.values[0]=null!=l?fi(0==jl.ori?Nn:jn,l):null,Fi.values[1]=null!=e?fi(1==jl.ori?Nn:jn,e):null}Ii(f,k,Nn,jn,Ie,Le,n)}if(Et){let l=t&&Fi.setSeries,e=Tt.prox;null==ui?si>e||oi(ri,ai,!0,l):si>e?oi(null,ai,!0,l):ri!=ui&&oi(ri,ai,!0,l)}}_t&&(ie.idx=n,mi()),!1!==e&&Ci("setCursor")}k.setLegend=mi;let wi=null;function _i(l=!1){l?wi=null:(wi=el.getBoundingClientRect(),Ci("syncRect",wi))}function bi(l,e,t,n,i,o){oe._lock||Xn&&null!=l&&0==l.movementX&&0==l.movementY||(vi(l,e,t,n,i,o,0,!1,null!=l),null!=l?xi(null,!0,!0):xi(e,!0,!1))}function vi(l,e,t,n,i,o,s,r,u){if(null==wi&&_i(!1),Mt(l),null!=l)t=l.clientX-wi.left,n=l.clientY-wi.top;else{if(0>t||0>n)return Nn=-10,void(jn=-10);let[l,s]=Fi.scales,r=e.cursor.sync,[u,a]=r.values,[f,c]=r.scales,[h,d]=Fi.match,p=e.axes[0].side%2==1,m=0==jl.ori?Ie:Le,g=1==jl.ori?Ie:Le,x=p?o:i,w=p?i:o,_=p?n:t,b=p?t:n;if(t=null!=f?h(l,f)?C(u,vl[l],m,0):-10:m*(_/x),n=null!=c?d(s,c)?C(a,vl[s],g,0):-10:g*(b/w),1==jl.ori){let l=t;t=n,n=l}}!u||null!=e&&e.cursor.event.type!=f||(t>1&&Ie-1>t||(t=zl(t,Ie)),n>1&&Le-1>n||(n=zl(n,Le))),r?(Fn=t,Rn=n,[Gn,In]=oe.move(k,t,n)):(Nn=t,jn=n)}Object.defineProperty(k,"rect",{get:()=>(null==wi&&_i(!1),wi)});const ki={width:0,height:0,left:0,top:0};function yi(){ni(ki,!1)}let Mi,Si,Ti,Ei;function zi(l,e,t,n,i,o){Xn=!0,Qn=li=Zn._x=Zn._y=!1,vi(l,e,t,n,i,o,0,!0,!1),null!=l&&(Ce(h,b,Di,!1),Ii(c,k,Gn,In,Ie,Le,null));let{left:s,top:r,width:u,height:a}=ei;Mi=s,Si=r,Ti=u,Ei=a}function Di(l,e,t,n,i,o){Xn=Zn._x=Zn._y=!1,vi(l,e,t,n,i,o,0,!1,!0);let{left:s,top:r,width:u,height:a}=ei,f=u>0||a>0,c=Mi!=s||Si!=r||Ti!=u||Ei!=a;if(f&&c&&ni(ei),Zn.setScale&&f&&c){let l=s,e=u,t=r,n=a;if(1==jl.ori&&(l=r,e=a,t=s,n=u),Qn&&ii(El,fi(l,El),fi(l+e,El)),li)for(let l in vl){let e=vl[l];l!=El&&null==e.from&&e.min!=gl&&ii(l,fi(t+n,l),fi(t,l))}yi()}else oe.lock&&(oe._lock=!oe._lock,xi(e,!0,null!=l));null!=l&&(He(h,b),Ii(h,k,Nn,jn,Ie,Le,null))}function Pi(l){oe._lock||(Mt(l),xn(),yi(),null!=l&&Ii(m,k,Nn,jn,Ie,Le,null))}function Ai(){xl.forEach(ln),vt(k.width,k.height,!0)}G(x,v,Ai);const Wi={};Wi.mousedown=zi,Wi.mousemove=bi,Wi.mouseup=Di,Wi.dblclick=Pi,Wi.setSeries=(l,e,t,n)=>{-1!=(t=(0,Fi.match[2])(k,e,t))&&oi(t,n,!0,!1)},re&&(Ce(c,el,zi),Ce(f,el,bi),Ce(d,el,(l=>{Mt(l),_i(!1)})),Ce(p,el,(function(l){if(oe._lock)return;Mt(l);let e=Xn;if(Xn){let l,e,t=!0,n=!0,i=10;0==jl.ori?(l=Qn,e=li):(l=li,e=Qn),l&&e&&(t=i>=Nn||Nn>=Ie-i,n=i>=jn||jn>=Le-i),l&&t&&(Nn=Gn>Nn?0:Ie),e&&n&&(jn=In>jn?0:Le),xi(null,!0,!0),Xn=!1}Nn=-10,jn=-10,te.fill(null),xi(null,!0,!0),e&&(Xn=e)})),Ce(m,el,Pi),It.add(k),k.syncRect=_i);const Yi=k.hooks=u.hooks||{};function Ci(l,e,t){Vn?Bn.push([l,e,t]):l in Yi&&Yi[l].forEach((l=>{l.call(null,k,e,t)}))}(u.plugins||[]).forEach((l=>{for(let e in l.hooks)Yi[e]=(Yi[e]||[]).concat(l.hooks[e])}));const Hi=(l,e,t)=>t,Fi=Bl({key:null,setSeries:!1,filters:{pub:Ml,sub:Ml},scales:[El,pl[1]?pl[1].scale:null],match:[Sl,Sl,Hi],values:[null,null]},oe.sync);2==Fi.match.length&&Fi.match.push(Hi),oe.sync=Fi;const Ri=Fi.key,Gi=dt(Ri);function Ii(l,e,t,n,i,o,s){Fi.filters.pub(l,e,t,n,i,o,s)&&Gi.pub(l,e,t,n,i,o,s)}function Li(){Ci("init",u,g),gn(g||u.data,!1),Kl[El]?Kn(El,Kl[El]):xn(),wt=ei.show&&(ei.width>0||ei.height>0),xt=_t=!0,vt(u.width,u.height)}return Gi.sub(k),k.pub=function(l,e,t,n,i,o,s){Fi.filters.sub(l,e,t,n,i,o,s)&&Wi[l](null,e,t,n,i,o,s)},k.destroy=function(){Gi.unsub(k),It.delete(k),Pe.clear(),I(x,v,Ai),R.remove(),ce?.remove(),Ci("destroy")},pl.forEach(Yt),xl.forEach((function(l,e){if(l._show=l.show,l.show){let t=vl[l.scale];null==t&&(l.scale=l.side%2?pl[1].scale:El,t=vl[l.scale]);let n=t.time;l.size=bl(l.size),l.space=bl(l.space),l.rotate=bl(l.rotate),Gl(l.incrs)&&l.incrs.forEach((l=>{!Wl.has(l)&&Wl.set(l,Yl(l))})),l.incrs=bl(l.incrs||(2==t.distr?ae:n?1==hl?ke:Se:fe)),l.splits=bl(l.splits||(n&&1==t.distr?Ql:3==t.distr?Je:4==t.distr?qe:$e)),l.stroke=bl(l.stroke),l.grid.stroke=bl(l.grid.stroke),l.ticks.stroke=bl(l.ticks.stroke),l.border.stroke=bl(l.border.stroke);let i=l.values;l.values=Gl(i)&&!Gl(i[0])?bl(i):n?Gl(i)?De(Xl,ze(i,Zl)):Ll(i)?function(l,e){let t=ne(e);return(e,n)=>n.map((e=>t(l(e))))}(Xl,i):i||le:i||Be,l.filter=bl(l.filter||(3>t.distr||10!=t.log?3==t.distr&&2==t.log?tt:kl:et)),l.font=Qt(l.font),l.labelFont=Qt(l.labelFont),l._size=l.size(k,null,e,0),l._space=l._rotate=l._incrs=l._found=l._splits=l._values=null,l._size>0&&(Ct[e]=!0,l._el=D("u-axis",X))}})),_?_ instanceof HTMLElement?(_.appendChild(R),Li()):_(k,Li):Li(),k}en.assign=Bl,en.fmtNum=tl,en.rangeNum=Z,en.rangeLog=B,en.rangeAsinh=$,en.orient=pt,en.pxRatio=y,en.join=function(l,e){if(function(l){let e=l[0][0],t=e.length;for(let n=1;l.length>n;n++){let i=l[n][0];if(i.length!=t)return!1;if(i!=e)for(let l=0;t>l;l++)if(i[l]!=e[l])return!1}return!0}(l)){let e=l[0].slice();for(let t=1;l.length>t;t++)e.push(...l[t].slice(1));return function(l,e=100){const t=l.length;if(1>=t)return!0;let n=0,i=t-1;for(;i>=n&&null==l[n];)n++;for(;i>=n&&null==l[i];)i--;if(n>=i)return!0;const o=fl(1,sl((i-n+1)/e));for(let e=l[n],t=n+o;i>=t;t+=o){const n=l[t];if(null!=n){if(e>=n)return!1;e=n}}return!0}(e[0])||(e=function(l){let e=l[0],t=e.length,n=Array(t);for(let l=0;n.length>l;l++)n[l]=l;n.sort(((l,t)=>e[l]-e[t]));let i=[];for(let e=0;l.length>e;e++){let o=l[e],s=Array(t);for(let l=0;t>l;l++)s[l]=o[n[l]];i.push(s)}return i}(e)),e}let t=new Set;for(let e=0;l.length>e;e++){let n=l[e][0],i=n.length;for(let l=0;i>l;l++)t.add(n[l])}let n=[Array.from(t).sort(((l,e)=>l-e))],i=n[0].length,o=new Map;for(let l=0;i>l;l++)o.set(n[0][l],l);for(let t=0;l.length>t;t++){let s=l[t],r=s[0];for(let l=1;s.length>l;l++){let u=s[l],a=Array(i).fill(void 0),f=e?e[t][l]:1,c=[];for(let l=0;u.length>l;l++){let e=u[l],t=o.get(r[l]);null===e?0!=f&&(a[t]=e,2==f&&c.push(t)):a[t]=e}$l(a,c,i),n.push(a)}}return n},en.fmtDate=ne,en.tzDate=function(l,e){let t;return"UTC"==e||"Etc/UTC"==e?t=new Date(+l+6e4*l.getTimezoneOffset()):e==ie?t=l:(t=new Date(l.toLocaleString("en-US",{timeZone:e})),t.setMilliseconds(l.getMilliseconds())),t},en.sync=dt;{en.addGap=function(l,e,t){let n=l[l.length-1];n&&n[0]==e?n[1]=t:l.push([e,t])},en.clipGaps=wt;let l=en.paths={points:Wt};l.linear=Ft,l.stepped=function(l){const e=Q(l.align,1),t=Q(l.ascDesc,!1),n=Q(l.alignGaps,0),i=Q(l.extend,!1);return(l,o,s,r)=>pt(l,o,((u,a,f,c,h,d,p,m,g,x,w)=>{[s,r]=U(f,s,r);let _=u.pxRound,{left:b,width:v}=l.bbox,k=l=>_(d(l,c,x,m)),M=l=>_(p(l,h,w,g)),S=0==c.ori?Mt:St;const T={stroke:new Path2D,fill:null,clip:null,band:null,gaps:null,flags:1},E=T.stroke,z=c.dir*(0==c.ori?1:-1);let D=M(f[1==z?s:r]),P=k(a[1==z?s:r]),A=P,W=P;i&&-1==e&&(W=b,S(E,W,D)),S(E,P,D);for(let l=1==z?s:r;l>=s&&r>=l;l+=z){let t=f[l];if(null==t)continue;let n=k(a[l]),i=M(t);1==e?S(E,n,D):S(E,A,i),S(E,n,i),D=i,A=n}let Y=A;i&&1==e&&(Y=b+v,S(E,Y,D));let[C,H]=mt(l,o);if(null!=u.fill||0!=C){let e=T.fill=new Path2D(E),t=M(u.fillTo(l,o,u.min,u.max,C));S(e,Y,t),S(e,W,t)}if(!u.spanGaps){let i=[];i.push(..._t(a,f,s,r,z,k,n));let h=u.width*y/2,d=t||1==e?h:-h,p=t||-1==e?-h:h;i.forEach((l=>{l[0]+=d,l[1]+=p})),T.gaps=i=u.gaps(l,o,s,r,i),T.clip=wt(i,c.ori,m,g,x,w)}return 0!=H&&(T.band=2==H?[xt(l,o,s,r,E,-1),xt(l,o,s,r,E,1)]:xt(l,o,s,r,E,H)),T}))},l.bars=function(l){const e=Q((l=l||Hl).size,[.6,gl,1]),t=l.align||0,n=l.gap||0;let i=l.radius;i=null==i?[0,0]:"number"==typeof i?[i,0]:i;const o=bl(i),s=1-e[0],r=Q(e[1],gl),u=Q(e[2],1),a=Q(l.disp,Hl),f=Q(l.each,(()=>{})),{fill:c,stroke:h}=a;return(l,e,i,d)=>pt(l,e,((p,m,g,x,w,_,b,v,k,M,S)=>{let T,E,z=p.pxRound,D=t,P=n*y,A=r*y,W=u*y;0==x.ori?[T,E]=o(l,e):[E,T]=o(l,e);const Y=x.dir*(0==x.ori?1:-1);let C,H,F,R=0==x.ori?Tt:Et,G=0==x.ori?f:(l,e,t,n,i,o,s)=>{f(l,e,t,i,n,s,o)},I=Q(l.bands,Fl).find((l=>l.series[0]==e)),L=p.fillTo(l,e,p.min,p.max,null!=I?I.dir:0),O=z(b(L,w,S,k)),N=M,j=z(p.width*y),U=!1,V=null,B=null,$=null,J=null;null==c||0!=j&&null==h||(U=!0,V=c.values(l,e,i,d),B=new Map,new Set(V).forEach((l=>{null!=l&&B.set(l,new Path2D)})),j>0&&($=h.values(l,e,i,d),J=new Map,new Set($).forEach((l=>{null!=l&&J.set(l,new Path2D)}))));let{x0:q,size:K}=a;if(null!=q&&null!=K){D=1,m=q.values(l,e,i,d),2==q.unit&&(m=m.map((e=>l.posToVal(v+e*M,x.key,!0))));let t=K.values(l,e,i,d);H=2==K.unit?t[0]*M:_(t[0],x,M,v)-_(0,x,M,v),N=Rt(m,g,_,x,M,v,N),F=N-H+P}else N=Rt(m,g,_,x,M,v,N),F=N*s+P,H=N-F;1>F&&(F=0),H/2>j||(j=0),5>F&&(z=vl);let X=F>0;H=z(wl(N-F-(X?j:0),W,A)),C=(0==D?H/2:D==Y?0:H)-D*Y*((0==D?P/2:0)+(X?j/2:0));const Z={stroke:null,fill:null,clip:null,band:null,gaps:null,flags:0},ll=U?null:new Path2D;let el=null;if(null!=I)el=l.data[I.series[1]];else{let{y0:t,y1:n}=a;null!=t&&null!=n&&(g=n.values(l,e,i,d),el=t.values(l,e,i,d))}let tl=T*H,nl=E*H;for(let t=1==Y?i:d;t>=i&&d>=t;t+=Y){let n=g[t];if(null==n)continue;if(null!=el){let l=el[t]??0;if(n-l==0)continue;O=b(l,w,S,k)}let i=_(2!=x.distr||null!=a?m[t]:t,x,M,v),o=b(Q(n,L),w,S,k),s=z(i-C),r=z(fl(o,O)),u=z(al(o,O)),f=r-u;if(null!=n){let i=0>n?nl:tl,o=0>n?tl:nl;U?(j>0&&null!=$[t]&&R(J.get($[t]),s,u+sl(j/2),H,fl(0,f-j),i,o),null!=V[t]&&R(B.get(V[t]),s,u+sl(j/2),H,fl(0,f-j),i,o)):R(ll,s,u+sl(j/2),H,fl(0,f-j),i,o),G(l,e,t,s-j/2,u,H+j,f)}}return j>0?Z.stroke=U?J:ll:U||(Z._fill=0==p.width?p._fill:p._stroke??p._fill,Z.width=0),Z.fill=U?B:ll,Z}))},l.spline=function(l){return function(l,e){const t=Q(e?.alignGaps,0);return(e,n,i,o)=>pt(e,n,((s,r,u,a,f,c,h,d,p,m,g)=>{[i,o]=U(u,i,o);let x,w,_,b=s.pxRound,v=l=>b(c(l,a,m,d)),k=l=>b(h(l,f,g,p));0==a.ori?(x=kt,_=Mt,w=Pt):(x=yt,_=St,w=At);const y=a.dir*(0==a.ori?1:-1);let M=v(r[1==y?i:o]),S=M,T=[],E=[];for(let l=1==y?i:o;l>=i&&o>=l;l+=y)if(null!=u[l]){let e=v(r[l]);T.push(S=e),E.push(k(u[l]))}const z={stroke:l(T,E,x,_,w,b),fill:null,clip:null,band:null,gaps:null,flags:1},D=z.stroke;let[P,A]=mt(e,n);if(null!=s.fill||0!=P){let l=z.fill=new Path2D(D),t=k(s.fillTo(e,n,s.min,s.max,P));_(l,S,t),_(l,M,t)}if(!s.spanGaps){let l=[];l.push(..._t(r,u,i,o,y,v,t)),z.gaps=l=s.gaps(e,n,i,o,l),z.clip=wt(l,a.ori,d,p,m,g)}return 0!=A&&(z.band=2==A?[xt(e,n,i,o,D,-1),xt(e,n,i,o,D,1)]:xt(e,n,i,o,D,A)),z}))}(Gt,l)}}return en}();
(() => {
'use strict';
// --- colours.mjs
// Colours. Those of lines and maps are variables of the style sheet, so that each theme has its own.

const SERIES = 8;

/** The name of the variable of line `i`. */
function seriesColour(i) {
  return `var(--series-${i % SERIES})`;
}

/** The dashes of line `i`: the colours repeat, so later lines are dashed. */
function seriesDash(i) {
  return [[], [8, 4], [2, 3]][Math.min(2, Math.floor(i / SERIES))];
}

/** The value of a colour such as `var(--ink)`, for canvases. */
function resolved(colour) {
  const name = /^var\((--[\w-]+)\)$/.exec(colour);
  return name ? getComputedStyle(document.documentElement).getPropertyValue(name[1]).trim() : colour;
}

/** The red, green and blue of a colour such as #0072b2. */
function channels(colour) {
  const number = parseInt(resolved(colour).slice(1), 16);
  return [number >> 16, (number >> 8) & 255, number & 255];
}
// --- dom.mjs
// Makes elements. Text from run folders is always set as text, and never as markup.

const SVG = 'http://www.w3.org/2000/svg';

/**
 * An HTML element with attributes and children. A child is a node or a text. An attribute that is null or false is left out. `onclick`
 * and so on are listeners.
 */
function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** An SVG element, as `element`. */
function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return node;
}

/** A section of the page. */
function section(id, title, lead, ...children) {
  const heading = element('h2', { id: `${id}-title` }, title);
  return element(
    'section',
    { id, 'aria-labelledby': `${id}-title` },
    heading,
    lead && element('p', { class: 'lead' }, lead),
    ...children,
  );
}

/** How to use a part of the page: not in print. */
function howTo(text) {
  return element('span', { class: 'screen-only' }, ` ${text}`);
}

/** A table that scrolls sideways on a narrow screen. `columns`: {title, number}. `rows`: cells as texts or nodes. */
function table(caption, columns, rows, attributes = {}) {
  const kind = (i) => (columns[i].number ? 'number' : null);
  const head = element('tr', {}, ...columns.map((column, i) => element('th', { scope: 'col', class: kind(i) }, column.title)));
  const body = rows.map((cells) => element('tr', {}, ...cells.map((cell, i) => bodyCell(cell, i, kind(i)))));
  const made = element(
    'table',
    attributes,
    element('caption', { class: 'hidden' }, caption),
    element('thead', {}, head),
    element('tbody', {}, ...body),
  );
  return scrollable(caption, made);
}

function bodyCell(cell, i, kind) {
  return i === 0 ? element('th', { scope: 'row', class: kind }, cell) : element('td', { class: kind }, cell);
}

/** A box that scrolls sideways, also with the keyboard. */
function scrollable(name, ...children) {
  return element('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': name }, ...children);
}

/** A part that opens with a click. */
function details(summary, ...children) {
  return element('details', {}, element('summary', {}, summary), ...children);
}

/** A group of radio buttons. `options`: [value, text]. `choose(value)` is called after a choice. */
function radios(name, legend, options, chosen, choose) {
  const inputs = options.map(([value, text]) =>
    element(
      'label',
      {},
      element('input', { type: 'radio', name, value, checked: value === chosen, onchange: () => choose(value) }),
      element('span', {}, text),
    ),
  );
  return element('fieldset', { class: 'radios' }, element('legend', {}, legend), ...inputs);
}

/** A screen reader reads a status aloud when it changes, so the same text is not set again. */
function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
// --- activation.mjs
// Activation functions, forward and backward. See convolution.mjs for the form of tensors and operations.

/** The operation of a function of one number and its derivative. */
function elementwise(f, derivative) {
  return {
    forward: (layer, x) => ({ shape: x.shape, data: x.data.map((value) => f(value, layer)) }),
    backward: (layer, x, gradient) => ({
      shape: x.shape,
      data: gradient.data.map((value, i) => value * derivative(x.data[i], layer)),
    }),
  };
}

const sigmoid = (x) => 1 / (1 + Math.exp(-x));
const softplus = (x) => (x > 20 ? x : Math.log1p(Math.exp(x))); // torch's threshold
const tanhSlope = (x) => 1 - Math.tanh(x) ** 2;

/** The error function. The error is below 1.5e-7. Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26. */
function erf(x) {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const polynomial = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
  return Math.sign(x) * (1 - polynomial * Math.exp(-x * x));
}
const normal = (x) => (1 + erf(x / Math.SQRT2)) / 2; // the distribution function
const normalDensity = (x) => Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);

const activations = {
  identity: { forward: (_layer, x) => x, backward: (_layer, _x, gradient) => gradient },
  relu: elementwise(
    (x) => Math.max(x, 0),
    (x) => (x > 0 ? 1 : 0),
  ),
  relu6: elementwise(
    (x) => Math.min(Math.max(x, 0), 6),
    (x) => (x > 0 && x < 6 ? 1 : 0),
  ),
  leaky_relu: elementwise(
    (x, { negative_slope: slope }) => (x > 0 ? x : slope * x),
    (x, { negative_slope: slope }) => (x > 0 ? 1 : slope),
  ),
  elu: elementwise(
    (x, { alpha }) => (x > 0 ? x : alpha * Math.expm1(x)),
    (x, { alpha }) => (x > 0 ? 1 : alpha * Math.exp(x)),
  ),
  gelu: elementwise(
    (x) => x * normal(x),
    (x) => normal(x) + x * normalDensity(x),
  ),
  silu: elementwise(
    (x) => x * sigmoid(x),
    (x) => sigmoid(x) * (1 + x * (1 - sigmoid(x))),
  ),
  mish: elementwise(
    (x) => x * Math.tanh(softplus(x)),
    (x) => Math.tanh(softplus(x)) + x * tanhSlope(softplus(x)) * sigmoid(x),
  ),
  hardswish: elementwise(
    (x) => (x * Math.min(Math.max(x + 3, 0), 6)) / 6,
    (x) => (x < -3 ? 0 : x <= 3 ? x / 3 + 0.5 : 1),
  ),
  softplus: elementwise(softplus, (x) => (x > 20 ? 1 : sigmoid(x))),
  tanh: elementwise(Math.tanh, tanhSlope),
  sigmoid: elementwise(sigmoid, (x) => sigmoid(x) * (1 - sigmoid(x))),
  prelu: {
    forward: (layer, x) => slopePerChannel(layer, x, x),
    backward: (layer, x, gradient) => slopePerChannel(layer, x, gradient),
  },
};

/** `values`, times the slope of the channel where `x` is negative. */
function slopePerChannel(layer, x, values) {
  const size = x.data.length / x.shape[0];
  const slope = (i) => (x.data[i] > 0 ? 1 : layer.weight[Math.floor(i / size)]);
  return { shape: x.shape, data: values.data.map((value, i) => value * slope(i)) };
}
// --- convolution.mjs
// Convolutions and linear layers, forward and backward.
//
// A tensor is {shape, data}: `shape` is [C, H, W], or [C] after flatten; `data` is a Float32Array. Each operation is an object with
// two functions: `forward(layer, x)` gives the output, `backward(layer, x, gradient)` gives the gradient of the input from the
// gradient of the output. Sums are in 64 bits.

/** The side of the output of a convolution or a pool. */
function outputSide(side, layer) {
  const reach = (layer.dilation ?? 1) * (layer.kernel - 1) + 1;
  return Math.floor((side + 2 * layer.padding - reach) / layer.stride) + 1;
}

/**
 * For each position of the output, the places in the input that its kernel reads, channel by channel. A place in the padding is -1.
 */
function kernelPlaces(layer, [channels, height, width]) {
  const { kernel, stride, padding, dilation } = layer;
  const [rows, columns] = [outputSide(height, layer), outputSide(width, layer)];
  const places = new Int32Array(rows * columns * channels * kernel * kernel);
  let i = 0;
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      for (let c = 0; c < channels; c++) {
        for (let ky = 0; ky < kernel; ky++) {
          const y = row * stride - padding + ky * dilation;
          for (let kx = 0; kx < kernel; kx++) {
            const x = column * stride - padding + kx * dilation;
            places[i++] = y >= 0 && y < height && x >= 0 && x < width ? (c * height + y) * width + x : -1;
          }
        }
      }
    }
  }
  return places;
}

/** The values of `x` at these places. In the padding, they are 0. */
function patchesOf(layer, x) {
  const places = kernelPlaces(layer, x.shape);
  const values = new Float32Array(places.length);
  for (let i = 0; i < places.length; i++) values[i] = places[i] < 0 ? 0 : x.data[places[i]];
  return values;
}

const conv = {
  forward(layer, x) {
    const shape = [layer.out, outputSide(x.shape[1], layer), outputSide(x.shape[2], layer)];
    const size = shape[1] * shape[2];
    const patches = patchesOf(layer, x);
    const all = patches.length / size; // values that the kernels of all groups read at a position
    const [count, outs] = [all / layer.groups, layer.out / layer.groups];
    const [weight, bias] = [layer.weight, layer.bias ?? new Float32Array(layer.out)];
    const data = new Float32Array(layer.out * size);
    // Two channels at two positions at a time: each number that is read is used twice. This is twice as fast.
    for (let group = 0; group < layer.groups; group++) {
      for (let o = group * outs; o < (group + 1) * outs; o += 2) {
        const nextO = Math.min(o + 1, (group + 1) * outs - 1);
        for (let p = 0; p < size; p += 2) {
          const nextP = Math.min(p + 1, size - 1);
          let [i, nextI, j, nextJ] = [o * count, nextO * count, p * all + group * count, nextP * all + group * count];
          let [a, b, c, d] = [bias[o], bias[o], bias[nextO], bias[nextO]];
          for (const end = i + count; i < end; i++, nextI++, j++, nextJ++) {
            a += weight[i] * patches[j];
            b += weight[i] * patches[nextJ];
            c += weight[nextI] * patches[j];
            d += weight[nextI] * patches[nextJ];
          }
          data[o * size + p] = a;
          data[o * size + nextP] = b;
          data[nextO * size + p] = c;
          data[nextO * size + nextP] = d;
        }
      }
    }
    return { shape, data };
  },

  backward(layer, x, gradient) {
    const places = kernelPlaces(layer, x.shape);
    const all = x.shape[0] * layer.kernel ** 2;
    const count = all / layer.groups;
    const size = places.length / all;
    const sums = new Float64Array(x.data.length);
    const patch = new Float64Array(all);
    for (let p = 0; p < size; p++) {
      patch.fill(0);
      for (let o = 0; o < layer.out; o++) {
        const first = Math.floor((o * layer.groups) / layer.out) * count;
        const given = gradient.data[o * size + p];
        for (let k = 0; k < count; k++) patch[first + k] += layer.weight[o * count + k] * given;
      }
      for (let k = 0; k < all; k++) if (places[p * all + k] >= 0) sums[places[p * all + k]] += patch[k];
    }
    return { shape: x.shape, data: Float32Array.from(sums) };
  },
};

const linear = {
  forward(layer, x) {
    const inputs = x.data.length;
    const data = new Float32Array(layer.out);
    for (let o = 0; o < layer.out; o++) {
      let sum = layer.bias ? layer.bias[o] : 0;
      for (let i = 0; i < inputs; i++) sum += layer.weight[o * inputs + i] * x.data[i];
      data[o] = sum;
    }
    return { shape: [layer.out], data };
  },

  backward(layer, x, gradient) {
    const inputs = x.data.length;
    const sums = new Float64Array(inputs);
    for (let o = 0; o < layer.out; o++) {
      for (let i = 0; i < inputs; i++) sums[i] += layer.weight[o * inputs + i] * gradient.data[o];
    }
    return { shape: x.shape, data: Float32Array.from(sums) };
  },
};
// --- normalization.mjs
// Norms, forward and backward. See convolution.mjs for the form of tensors and operations.
//
// After the training, batch norm is one scale and one shift per channel. Layer norm is group norm with one group, instance norm is
// group norm with one group per channel. Their means and variances are those of the image.

const batchNorm = {
  forward(layer, x) {
    const size = x.data.length / x.shape[0];
    const data = x.data.map((value, i) => {
      const channel = Math.floor(i / size);
      return value * layer.weight[channel] + layer.bias[channel];
    });
    return { shape: x.shape, data };
  },
  backward(layer, x, gradient) {
    const size = x.data.length / x.shape[0];
    return { shape: x.shape, data: gradient.data.map((value, i) => value * layer.weight[Math.floor(i / size)]) };
  },
};

/** The mean of `values` and 1 / their standard deviation. */
function statistics(values, eps) {
  let mean = 0;
  for (const value of values) mean += value;
  mean /= values.length;
  let variance = 0;
  for (const value of values) variance += (value - mean) ** 2;
  return [mean, 1 / Math.sqrt(variance / values.length + eps)];
}

const groupNorm = {
  forward(layer, x) {
    const size = x.data.length / x.shape[0];
    const groupSize = x.data.length / layer.groups;
    const data = new Float32Array(x.data.length);
    for (let start = 0; start < data.length; start += groupSize) {
      const [mean, scale] = statistics(x.data.subarray(start, start + groupSize), layer.eps);
      for (let i = start; i < start + groupSize; i++) {
        const channel = Math.floor(i / size);
        const normalised = (x.data[i] - mean) * scale;
        data[i] = layer.weight ? normalised * layer.weight[channel] + layer.bias[channel] : normalised;
      }
    }
    return { shape: x.shape, data };
  },
  backward(layer, x, gradient) {
    const size = x.data.length / x.shape[0];
    const groupSize = x.data.length / layer.groups;
    const data = new Float32Array(x.data.length);
    for (let start = 0; start < data.length; start += groupSize) {
      const [mean, scale] = statistics(x.data.subarray(start, start + groupSize), layer.eps);
      const given = (i) => gradient.data[i] * (layer.weight ? layer.weight[Math.floor(i / size)] : 1);
      let sum = 0;
      let weighted = 0;
      for (let i = start; i < start + groupSize; i++) {
        sum += given(i);
        weighted += given(i) * (x.data[i] - mean) * scale;
      }
      for (let i = start; i < start + groupSize; i++) {
        data[i] = scale * (given(i) - (sum + weighted * (x.data[i] - mean) * scale) / groupSize);
      }
    }
    return { shape: x.shape, data };
  },
};
// --- pooling.mjs
// Pools and flatten, forward and backward. See convolution.mjs for the form of tensors and operations.


/** Calls `visit(output place, input places)` for each window of a pool. Places in the padding are left out. */
function eachWindow(layer, x, visit) {
  const [channels, height, width] = x.shape;
  const [rows, columns] = [outputSide(height, layer), outputSide(width, layer)];
  const places = [];
  let place = 0;
  for (let c = 0; c < channels; c++) {
    for (let row = 0; row < rows; row++) {
      const top = row * layer.stride - layer.padding;
      for (let column = 0; column < columns; column++) {
        const left = column * layer.stride - layer.padding;
        places.length = 0;
        for (let y = Math.max(top, 0); y < Math.min(top + layer.kernel, height); y++) {
          for (let i = Math.max(left, 0); i < Math.min(left + layer.kernel, width); i++) {
            places.push((c * height + y) * width + i);
          }
        }
        visit(place++, places);
      }
    }
  }
}

function pooledShape(layer, x) {
  return [x.shape[0], outputSide(x.shape[1], layer), outputSide(x.shape[2], layer)];
}

function zeros(shape) {
  return { shape, data: new Float32Array(shape.reduce((a, b) => a * b)) };
}

function placeOfLargest(places, data) {
  let best = places[0];
  for (const place of places) if (data[place] > data[best] || Number.isNaN(data[place])) best = place;
  return best;
}

const maxPool = {
  forward(layer, x) {
    const output = zeros(pooledShape(layer, x));
    eachWindow(layer, x, (place, places) => (output.data[place] = x.data[placeOfLargest(places, x.data)]));
    return output;
  },
  backward(layer, x, gradient) {
    const result = zeros(x.shape);
    eachWindow(layer, x, (place, places) => (result.data[placeOfLargest(places, x.data)] += gradient.data[place]));
    return result;
  },
};

const avgPool = {
  forward(layer, x) {
    const output = zeros(pooledShape(layer, x));
    eachWindow(layer, x, (place, places) => {
      let sum = 0;
      for (const i of places) sum += x.data[i];
      output.data[place] = sum / layer.kernel ** 2; // the zeros of the padding count
    });
    return output;
  },
  backward(layer, x, gradient) {
    const result = zeros(x.shape);
    eachWindow(layer, x, (place, places) => {
      for (const i of places) result.data[i] += gradient.data[place] / layer.kernel ** 2;
    });
    return result;
  },
};

const globalAvgPool = {
  forward(_layer, x) {
    const [channels, height, width] = x.shape;
    const size = height * width;
    const data = Float32Array.from({ length: channels }, (_, c) => {
      let sum = 0;
      for (let i = c * size; i < (c + 1) * size; i++) sum += x.data[i];
      return sum / size;
    });
    return { shape: [channels, 1, 1], data };
  },
  backward(_layer, x, gradient) {
    const size = x.shape[1] * x.shape[2];
    return { shape: x.shape, data: x.data.map((_, i) => gradient.data[Math.floor(i / size)] / size) };
  },
};

const flatten = {
  forward: (_layer, x) => ({ shape: [x.data.length], data: x.data }),
  backward: (_layer, x, gradient) => ({ shape: x.shape, data: gradient.data }),
};
// --- network.mjs
// Computes a trained network: its logits, and the output of each layer.
//
// `mnist_lite/insight/report_network.py` writes the networks. A layer has a `kind`, its arguments and its weights, and most layers
// have a row in the layer table: `number`, `text`, `shape`.


/** The operation of each kind of layer, but `residual`. */
const operations = {
  ...activations,
  conv,
  linear,
  batch_norm: batchNorm,
  group_norm: groupNorm,
  max_pool: maxPool,
  avg_pool: avgPool,
  global_avg_pool: globalAvgPool,
  flatten,
};

/** The bytes of a base64 text. */
function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}

/** A network as Python writes it, with its weights as Float32Arrays. */
function readNetwork(described) {
  const view = new DataView(bytesOf(described.weights).buffer);
  const tensor = (place) => place && Float32Array.from({ length: place[1] }, (_, i) => view.getFloat32(4 * (place[0] + i), true));
  const read = (layer) => {
    if (layer.kind === 'residual') {
      return { ...layer, body: layer.body.map(read), projection: layer.projection && read(layer.projection) };
    }
    return { ...layer, weight: tensor(layer.weight), bias: tensor(layer.bias) };
  };
  return { ...described, weights: null, layers: described.layers.map(read) };
}

/**
 * Computes `layers` one after the other. Each step has the layer, its input and its output. A step of a residual block has the steps
 * of its `body` and the step of its `projection`, too.
 */
function computeSteps(layers, x) {
  const steps = [];
  for (const layer of layers) {
    const step = layer.kind === 'residual' ? residualStep(layer, x) : plainStep(layer, x);
    steps.push(step);
    x = step.output;
  }
  return steps;
}

function plainStep(layer, input) {
  return { layer, input, output: operations[layer.kind].forward(layer, input) };
}

function residualStep(layer, input) {
  const body = computeSteps(layer.body, input);
  const projection = layer.projection && plainStep(layer.projection, input);
  return { layer, input, body, projection, output: sum(body.at(-1).output, (projection ?? { output: input }).output) };
}

function sum(a, b) {
  return { shape: a.shape, data: a.data.map((value, i) => value + b.data[i]) };
}

/** The gradient of the input of the first of `steps`, from the gradient of the output of the last. */
function backward(steps, gradient) {
  for (const step of [...steps].reverse()) {
    const { layer, input } = step;
    if (layer.kind === 'residual') {
      const shortcut = step.projection ? backward([step.projection], gradient) : gradient;
      gradient = sum(backward(step.body, gradient), shortcut);
    } else {
      gradient = operations[layer.kind].backward(layer, input, gradient);
    }
  }
  return gradient;
}

/** The steps of a network for an image: 784 values 0..255, row by row. */
function computeNetwork(network, pixels) {
  const data = Float32Array.from(pixels, (pixel) => (pixel / 255 - network.mean) / network.std);
  return computeSteps(network.layers, { shape: [1, 28, 28], data });
}

/** The ten logits, from the steps of a network. */
function logitsOf(steps) {
  return steps.at(-1).output.data;
}

/** The steps that have a row in the layer table, in its order. */
function rowsOf(steps) {
  return steps
    .flatMap((step) => [...rowsOf(step.body ?? []), ...(step.projection ? [step.projection] : []), step])
    .filter((step) => step.layer.number !== undefined);
}

/** The probabilities of the classes. */
function softmax(logits) {
  const largest = Math.max(...logits);
  const exponentials = Array.from(logits, (logit) => Math.exp(logit - largest));
  const total = exponentials.reduce((a, b) => a + b);
  return exponentials.map((value) => value / total);
}

/** The place of the largest value. */
function argmax(values) {
  return values.indexOf(Math.max(...values));
}
// --- digit_image.mjs
// Draws images and maps as pixels.


const SIDE = 28;

/** The test images of the page: `pixels(i)` has 784 values 0..255. */
class TestImages {
  constructor(record) {
    this.count = record.count;
    this.labels = record.labels;
    this.index = record.index;
    this.predictions = record.predictions;
    this.bytes = bytesOf(record.pixels);
  }

  pixels(i) {
    return this.bytes.subarray(i * SIDE * SIDE, (i + 1) * SIDE * SIDE);
  }
}

/**
 * A canvas of `width` x `height` cells. `painter()` gives a function of the place of a cell, which gives its red, green and blue.
 * `repaint` calls `painter` again, because the colours of the theme may be others then.
 */
function cells(width, height, name, painter) {
  const canvas = element('canvas', { width, height, class: 'pixels', role: 'img', 'aria-label': name });
  const context = canvas.getContext('2d');
  canvas.repaint = () => {
    const colour = painter();
    const image = context.createImageData(width, height);
    for (let i = 0; i < width * height; i++) {
      image.data.set(colour(i), 4 * i);
      image.data[4 * i + 3] = 255;
    }
    context.putImageData(image, 0, 0);
  };
  canvas.repaint();
  return canvas;
}

/** Paints all images and maps of the page again, in the colours of a new theme. */
function repaintImages() {
  document.querySelectorAll('canvas.pixels').forEach((canvas) => canvas.repaint());
}

/** A digit: ink on paper, in the colours of the theme. */
function digitCanvas(pixels, name) {
  return cells(SIDE, SIDE, name, () => {
    const [paper, ink] = [channels('var(--paper)'), channels('var(--ink)')];
    return (i) => mixed(paper, ink, pixels[i] / 255);
  });
}

/** A map: 0 is paper, positive values have one colour and negative values another one. `largest` is the full colour. */
function mapCanvas(values, width, height, largest, name) {
  return cells(width, height, name, () => {
    const [paper, plus, minus] = ['var(--paper)', 'var(--plus)', 'var(--minus)'].map(channels);
    return (i) => mixed(paper, values[i] < 0 ? minus : plus, Math.min(1, Math.abs(values[i]) / largest));
  });
}

/**
 * A digit in grey under a map. `map`: {values, width, height, start, cell}: where the cells lie, in pixels. The largest value is 127.
 */
function overlayCanvas(pixels, map, name) {
  return cells(4 * SIDE, 4 * SIDE, name, () => {
    const [paper, ink, plus, minus] = ['var(--paper)', 'var(--ink)', 'var(--plus)', 'var(--minus)'].map(channels);
    return (i) => {
      const [x, y] = [(i % (4 * SIDE)) / 4 + 0.125, Math.floor(i / (4 * SIDE)) / 4 + 0.125];
      const grey = mixed(paper, ink, (0.75 * pixels[Math.floor(y) * SIDE + Math.floor(x)]) / 255);
      const value = interpolated(map, x, y) / 127;
      return mixed(grey, value < 0 ? minus : plus, 0.8 * Math.min(1, Math.abs(value)));
    };
  });
}

/** The value of a map at a place of the image, between the centres of its cells. Outside of the map it is 0. */
function interpolated(map, x, y) {
  // the centre of pixel p is at p + 0.5, and `start` counts from the centre of pixel 0
  const [across, down] = [x, y].map((place) => (place - 0.5 - map.start) / map.cell);
  if (across < 0 || down < 0 || across > map.width || down > map.height) return 0;
  const column = Math.min(map.width - 1, Math.max(0, across - 0.5));
  const row = Math.min(map.height - 1, Math.max(0, down - 0.5));
  const [left, top] = [Math.floor(column), Math.floor(row)];
  const [right, bottom] = [Math.min(left + 1, map.width - 1), Math.min(top + 1, map.height - 1)];
  const [h, v] = [column - left, row - top];
  const at = (r, c) => map.values[r * map.width + c];
  return (1 - v) * ((1 - h) * at(top, left) + h * at(top, right)) + v * ((1 - h) * at(bottom, left) + h * at(bottom, right));
}

function mixed(from, to, part) {
  return from.map((value, i) => Math.round(value + part * (to[i] - value)));
}
// --- format.mjs
// Numbers as texts.

/** 7838 as 7,838. */
function thousands(value) {
  return Math.round(value).toLocaleString('en-US');
}

/** 99.41. An absent value is an empty text. */
function percent(value, digits = 2) {
  return value === null || value === undefined ? '' : withMinus(evenRounded(value, digits));
}

/** +0.25 or −1.12, rounded as in the text of `mnist-lite train`. */
function signed(value) {
  return value === null ? '' : `${value < 0 ? '' : '+'}${percent(value)}`;
}

/** A value in the middle between two texts becomes the one with an even digit, as in Python. JavaScript takes the larger one. */
function evenRounded(value, digits) {
  const exact = value.toFixed(digits + 60);
  const [kept, rest] = [exact.slice(0, -60), exact.slice(-60)];
  return /^50*$/.test(rest) && Number(kept.at(-1)) % 2 === 0 ? kept : value.toFixed(digits);
}

function withMinus(text) {
  return text.replace('-', '−');
}

/** 4.2 min. */
function duration(seconds) {
  if (seconds < 100) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  return seconds < 6000 ? `${(seconds / 60).toFixed(1)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

/** A number with at most three digits that count: 0.0123, 1.5, 964k, 6.38M. */
function compact(value) {
  if (Math.abs(value) >= 1e6) return withMinus(`${Number((value / 1e6).toPrecision(3))}M`);
  if (Math.abs(value) >= 1e4) return withMinus(`${Number((value / 1e3).toPrecision(3))}k`);
  return withMinus(String(Number(value.toPrecision(3))));
}

/** 0.93 as 93 %. Only certain values are 0 % and 100 %. */
function share(value) {
  const rounded = 100 * value;
  if (rounded > 99.9 && value < 1) return '> 99.9 %';
  if (rounded < 0.1 && value > 0) return '< 0.1 %';
  return `${Number(rounded.toFixed(1))} %`;
}

/** 1 image, 2 images. */
function counted(count, word) {
  return `${thousands(count)} ${word}${count === 1 ? '' : 's'}`;
}

/** a, b and c. */
function listed(texts) {
  return texts.length < 2 ? texts.join('') : `${texts.slice(0, -1).join(', ')} and ${texts.at(-1)}`;
}
// --- architecture.mjs
// The layers of a network. A click on a layer shows what one of its values sees of a digit, and its maps.


const MAX_MAPS = 64;

/** `network` is one that `readNetwork` has read, or null: then there are no maps. `images` are TestImages, or null. */
function architectureSection(run, network, images) {
  if (!run.layers) return section('layers', 'Layers', 'The config of this run has no layers that can be built.');
  const total = `${thousands(run.parameters)} parameters and ${thousands(run.multiply_adds)} multiply-adds per image.`;
  const click = `Click a layer to see what one of its values sees${network && images ? ', and its maps' : ''}.`;
  const lead = [`${counted(run.layers.length, 'layer')}, ${total}`, howTo(click)];
  return section('layers', 'Layers', lead, new LayerPanel(run, network, images).root);
}

class LayerPanel {
  constructor(run, network, images) {
    this.run = run;
    this.network = network;
    this.images = images;
    this.image = 0;
    this.layer = run.layers.find((layer) => layer.receptive_field > 1) ?? run.layers[0];
    this.buttons = new Map();
    this.view = element('div', { class: 'layer-view' });
    this.root = element('div', { class: 'side-by-side' }, this.table(), this.view);
    this.show(this.layer);
  }

  table() {
    const most = Math.max(1, ...this.run.layers.map((layer) => layer.parameters));
    const heads = ['#', 'Layer', 'Output', 'Parameters', 'Multiply-adds', 'Receptive field'].map((title, i) =>
      element('th', { scope: 'col', class: i === 1 ? null : 'number' }, title),
    );
    const rows = this.run.layers.map((layer) => this.row(layer, most));
    const caption = element('caption', { class: 'hidden' }, 'Layers');
    return scrollable(
      'Layers',
      element(
        'table',
        { class: 'layers' },
        caption,
        element('thead', {}, element('tr', {}, ...heads)),
        element('tbody', {}, ...rows),
      ),
    );
  }

  row(layer, most) {
    const name = layer.block ? `${layer.block}: ${layer.text}` : layer.text;
    const button = element(
      'button',
      { type: 'button', class: 'link', 'aria-pressed': 'false', onclick: () => this.choose(layer) },
      name,
    );
    this.buttons.set(layer, button);
    const bar = element('span', { class: 'bar', 'aria-hidden': 'true' });
    bar.style.width = `${(100 * layer.parameters) / most}%`;
    return element(
      'tr',
      { class: layer.parameters ? null : 'light', onclick: (event) => event.target === button || this.choose(layer) },
      element('td', { class: 'number' }, String(layer.number)),
      element('th', { scope: 'row' }, button),
      element('td', { class: 'number' }, layer.shape.join(' × ')),
      element('td', { class: 'number barred' }, bar, element('span', {}, layer.parameters ? thousands(layer.parameters) : '')),
      element('td', { class: 'number' }, layer.multiply_adds ? thousands(layer.multiply_adds) : ''),
      element('td', { class: 'number' }, `${layer.receptive_field} × ${layer.receptive_field}`),
    );
  }

  /** On a narrow screen the view is below the table, so the page scrolls to it. */
  choose(layer) {
    this.show(layer);
    if (getComputedStyle(this.view).position === 'static') this.view.scrollIntoView();
  }

  show(layer) {
    this.buttons.get(this.layer).setAttribute('aria-pressed', 'false');
    this.buttons.get(this.layer).closest('tr').classList.remove('chosen');
    this.layer = layer;
    this.buttons.get(layer).setAttribute('aria-pressed', 'true');
    this.buttons.get(layer).closest('tr').classList.add('chosen');
    const name = `${layer.number} · ${layer.block ? `${layer.block}: ` : ''}${layer.text}`;
    this.view.replaceChildren(
      element('h3', { id: 'layer-name' }, name),
      this.field(),
      ...[this.steps(), this.maps()].flat().filter(Boolean),
      element('p', { class: 'back' }, element('a', { href: '#layers' }, 'Back to the table of layers')),
    );
  }

  field() {
    const { layer } = this;
    const [first, last] = layer.field;
    const side = last - first + 1;
    const distance = layer.shape[1] > 1 ? ` Neighbouring values are ${counted(layer.jump, 'pixel')} apart.` : '';
    const what = layer.shape[1] > 1 ? 'The middle value' : 'Each value';
    const text = first < 0 ? `${what} sees only padding.` : `${what} sees ${side} × ${side} pixels: the square.${distance}`;
    const pixels = this.images ? this.images.pixels(this.image) : new Uint8Array(SIDE * SIDE);
    const name = this.images
      ? `Test image ${this.images.index[this.image]}, a ${this.images.labels[this.image]}`
      : 'An empty image';
    const square = first < 0 ? null : svg('rect', { x: first, y: first, width: side, height: side, class: 'field' });
    const overlay = svg('svg', { viewBox: `-0.3 -0.3 ${SIDE + 0.6} ${SIDE + 0.6}`, 'aria-hidden': 'true' }, square);
    return element(
      'div',
      { class: 'field-view' },
      element('div', { class: 'digit' }, digitCanvas(pixels, name), overlay),
      element('p', {}, text),
    );
  }

  steps() {
    if (!this.images) return null;
    const go = (by) => {
      this.image = (this.image + by + this.images.count) % this.images.count;
      this.show(this.layer);
      this.view.querySelector(by < 0 ? '.previous' : '.next').focus();
    };
    const label = `test image ${this.images.index[this.image]}, a ${this.images.labels[this.image]}`;
    return element(
      'p',
      { class: 'stepper' },
      element('button', { type: 'button', class: 'previous', onclick: () => go(-1), 'aria-label': 'Previous image' }, '←'),
      element('button', { type: 'button', class: 'next', onclick: () => go(1), 'aria-label': 'Next image' }, '→'),
      element('span', {}, label),
    );
  }

  maps() {
    if (!this.network || !this.images) {
      return element(
        'p',
        { class: 'hint' },
        this.network
          ? 'This page has no maps: it has no test images.'
          : 'This page has no maps of this network: only the page of one run of at most 500,000 parameters has them.',
      );
    }
    const steps = rowsOf(computeNetwork(this.network, this.images.pixels(this.image)));
    const { shape, data } = steps.find((step) => step.layer.number === this.layer.number).output;
    const [count, height = 1, width = 1] = shape;
    const largest = data.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-12);
    if (height * width === 1) return vector(data.slice(0, MAX_MAPS), largest, count);
    const size = height * width;
    const maps = Array.from({ length: Math.min(count, MAX_MAPS) }, (_, c) => {
      const values = data.subarray(c * size, (c + 1) * size);
      return mapCanvas(
        values,
        width,
        height,
        largest,
        `Map ${c + 1}: from ${compact(Math.min(...values))} to ${compact(Math.max(...values))}`,
      );
    });
    const shown = maps.length < count ? `The first ${maps.length} of ${counted(count, 'map')}` : counted(count, 'map');
    const text = `${shown} of ${height} × ${width}. Orange is positive, blue is negative. The strongest colour is ±${compact(largest)}.`;
    return [element('div', { class: 'maps' }, ...maps), element('p', { class: 'hint' }, text)];
  }
}

function vector(values, largest, count) {
  const rows = Array.from(values, (value, i) => {
    const bar = element('span', { class: value < 0 ? 'bar minus' : 'bar', 'aria-hidden': 'true' });
    bar.style.width = `${(100 * Math.abs(value)) / largest}%`;
    return element(
      'li',
      {},
      element('span', { class: 'name' }, String(i)),
      element('span', { class: 'track' }, bar),
      element('span', { class: 'number' }, compact(value)),
    );
  });
  const cut = values.length < count ? `The first ${values.length} of ${count} values.` : `${count} values, counted from 0.`;
  return [element('ul', { class: 'values' }, ...rows), element('p', { class: 'hint' }, cut)];
}
// --- chart.mjs
// What pictures in SVG share: scales and axes.


/** A function from `domain` to `range`, linear. */
function linearScale([a, b], [from, to]) {
  return (value) => from + ((value - a) / (b - a)) * (to - from);
}

/** The same for logarithms. */
function logScale(domain, range) {
  const scale = linearScale(domain.map(Math.log10), range);
  return (value) => scale(Math.log10(value));
}

/** Round numbers from `low` to `high`, about `count` of them. */
function ticks(low, high, count) {
  const raw = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= raw) * power;
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++) found.push(Number((i * step).toPrecision(12)));
  return found;
}

/** The lines and the texts of two axes. `x` and `y`: {scale, ticks, text, label}. */
function axes(box, x, y) {
  const lines = [
    ...x.ticks.map((tick) => svg('line', { x1: x.scale(tick), x2: x.scale(tick), y1: box.top, y2: box.bottom, class: 'grid' })),
    ...y.ticks.map((tick) => svg('line', { x1: box.left, x2: box.right, y1: y.scale(tick), y2: y.scale(tick), class: 'grid' })),
  ];
  const texts = [
    ...x.ticks.map((tick) => svg('text', { x: x.scale(tick), y: box.bottom + 18, 'text-anchor': 'middle' }, x.text(tick))),
    ...y.ticks.map((tick) => svg('text', { x: box.left - 8, y: y.scale(tick) + 4, 'text-anchor': 'end' }, y.text(tick))),
    svg('text', { x: (box.left + box.right) / 2, y: box.bottom + 38, 'text-anchor': 'middle', class: 'label' }, x.label),
    svg('text', { x: box.left, y: box.top - 12, class: 'label', 'text-anchor': 'start' }, y.label),
  ];
  return svg('g', { class: 'axes' }, ...lines, ...texts);
}
// --- calibration.mjs
// Is the network as often right as it says? The reliability diagram.


const TICKS = [0, 0.2, 0.4, 0.6, 0.8, 1];

function calibrationSection(tested) {
  const question = 'When the network says 90 %, is it right in 90 % of the cases?';
  const error = `The expected calibration error is ${tested.ece.toFixed(2)} percentage points on ${tested.measured_on}.`;
  const lead = `${question} ${error} Points under the line: the network is too sure.`;
  return section('calibration', 'Calibration', lead, diagram(tested), binTable(tested));
}

function diagram(tested) {
  const box = { left: 52, right: 500, top: 30, bottom: 330 };
  const x = linearScale([0, 1], [box.left, box.right]);
  const y = linearScale([0, 1], [box.bottom, box.top]);
  const filled = tested.bins.filter((bin) => bin.images);
  const most = Math.max(...filled.map((bin) => bin.images));
  const marks = filled.map((bin) => {
    const at = x(bin.confidence);
    const [low, high] = bin.interval;
    const title = `Probability ${share(bin.low)} to ${share(bin.high)}: ${thousands(bin.images)} images, right in ${share(bin.accuracy)}`;
    return svg(
      'g',
      { class: 'mark' },
      svg('title', {}, title),
      svg('line', { x1: at, x2: at, y1: y(low), y2: y(high), class: 'interval' }),
      svg('circle', { cx: at, cy: y(bin.accuracy), r: 4 + 5 * Math.sqrt(bin.images / most) }),
    );
  });
  const text = (tick) => `${Math.round(100 * tick)} %`;
  const name = `Reliability diagram of ${filled.length} bins. The values are in the table below.`;
  const picture = svg(
    'svg',
    { viewBox: '0 0 520 380', class: 'chart narrow', role: 'img', 'aria-label': name },
    axes(
      box,
      { scale: x, ticks: TICKS, text, label: 'probability of the answer' },
      { scale: y, ticks: TICKS, text, label: 'share of right answers' },
    ),
    svg('line', { x1: x(0), y1: y(0), x2: x(1), y2: y(1), class: 'ideal' }),
    ...marks,
  );
  const note = 'Lines are 95 % intervals (Wilson). A larger point has more images.';
  return element('figure', { class: 'picture' }, picture, element('figcaption', { class: 'hint' }, note));
}

function binTable(tested) {
  const columns = ['Probability of the answer', 'Images', 'Mean probability', 'Right', '95 % interval'].map((title) => ({
    title,
    number: true,
  }));
  const rows = tested.bins
    .filter((bin) => bin.images)
    .map((bin) => [
      `${percent(100 * bin.low, 1)} to ${percent(100 * bin.high, 1)} %`,
      thousands(bin.images),
      `${percent(100 * bin.confidence)} %`,
      `${percent(100 * bin.accuracy)} %`,
      `${percent(100 * bin.interval[0])} to ${percent(100 * bin.interval[1])} %`,
    ]);
  return details('The values as a table', table('Calibration', columns, rows));
}
// --- class_map.mjs
// Which parts of an image speak for a class. The definitions are in `mnist_lite/insight/class_maps.py`.


/**
 * The class map of `digit`: {rows, columns, values}. In an exact map, the mean of the values is the logit. In a Grad-CAM map, no
 * value is negative. Null: the network has no maps.
 */
function classMap(network, steps, digit) {
  const source = network.class_maps;
  if (!source) return null;
  const maps = source.layers > 0 ? steps[source.layers - 1].output : steps[0].input;
  const values = source.exact ? exactValues(network, maps, digit) : gradCamValues(network, steps, maps, digit);
  return { rows: maps.shape[1], columns: maps.shape[2], values };
}

/** The layers after the global pool see each position as an image of its own. */
function exactValues(network, maps, digit) {
  const [channels, rows, columns] = maps.shape;
  const after = network.layers.slice(network.class_maps.layers + 1);
  return Float32Array.from({ length: rows * columns }, (_, place) => {
    const data = Float32Array.from({ length: channels }, (_, c) => maps.data[c * rows * columns + place]);
    const cell = { shape: [channels, 1, 1], data };
    return (after.length ? computeSteps(after, cell).at(-1).output : cell).data[digit];
  });
}

function gradCamValues(network, steps, maps, digit) {
  const [channels, rows, columns] = maps.shape;
  const { shape } = steps.at(-1).output;
  const oneHot = Float32Array.from({ length: 10 }, (_, i) => (i === digit ? 1 : 0));
  const gradient = backward(steps.slice(network.class_maps.layers), { shape, data: oneHot }).data;
  const size = rows * columns;
  const values = new Float32Array(size);
  for (let c = 0; c < channels; c++) {
    let weight = 0;
    for (let i = c * size; i < (c + 1) * size; i++) weight += gradient[i] / size;
    for (let i = 0; i < size; i++) values[i] += weight * maps.data[c * size + i];
  }
  return values.map((value) => Math.max(value, 0));
}
// --- answer.mjs
// The answer of the network: the digit, ten probabilities, the image that it was given, and which parts speak for a digit.


const NO_ANSWER = '–';

/** `nodes`, `draw(pixels, steps)` and `clear()`. */
function answerPanel(network) {
  const digit = element('span', { class: 'figure' }, NO_ANSWER);
  const spoken = element('p', { class: 'headline', role: 'status' }, 'Nothing is drawn yet.');
  const given = element('div', { class: 'given' });
  const looks = element('div', { class: 'looks' });
  const looksText = element('figcaption', {}, '');
  /** The digit that the class map is for. Null: the answer. */
  let chosen = null;
  let last = null;

  const rows = Array.from({ length: 10 }, (_, i) => probabilityRow(i, () => choose(i)));
  const head = ['Digit', 'Probability', ''].map((text) => element('th', { scope: 'col' }, text));
  const table = element(
    'table',
    { class: 'probabilities' },
    element('caption', { class: 'hidden' }, 'Probability of each digit'),
    element('thead', { class: 'hidden' }, element('tr', {}, ...head)),
    element('tbody', {}, ...rows.map((row) => row.node)),
  );
  const pictures = [element('figure', {}, given, element('figcaption', {}, 'The image that the network is given'))];
  if (network.class_maps) pictures.push(element('figure', {}, looks, looksText));

  function choose(i) {
    chosen = chosen === i ? null : i;
    drawLooks();
  }

  function drawLooks() {
    rows.forEach((row, i) => row.press(i === chosen));
    if (!last || !network.class_maps) return;
    const shown = chosen ?? last.answer;
    looks.replaceChildren(overlayCanvas(last.pixels, scaledMap(network, last.steps, shown), `What speaks for ${shown}`));
    looksText.textContent = `Where the network looks for ${shown}`;
  }

  return {
    nodes: [
      element('div', { class: 'reads' }, digit, spoken, table),
      element('div', { class: 'pictures' }, ...pictures, element('p', { class: 'hint' }, hint(network))),
    ],
    draw(pixels, steps) {
      const probabilities = softmax(logitsOf(steps));
      const answer = argmax(probabilities);
      last = { pixels, steps, answer };
      digit.textContent = answer < 0 ? NO_ANSWER : String(answer);
      setText(spoken, answer < 0 ? 'The logits are not numbers.' : `The network reads ${answer}.`);
      rows.forEach((row, i) => row.set(probabilities[i], i === answer));
      given.replaceChildren(digitCanvas(pixels, 'The image that the network is given, 28 by 28 pixels'));
      if (answer >= 0) drawLooks();
    },
    clear() {
      last = null;
      digit.textContent = NO_ANSWER;
      setText(spoken, 'Nothing is drawn yet.');
      rows.forEach((row) => row.set(null, false));
      given.replaceChildren(digitCanvas(new Uint8Array(784), 'An empty image'));
      looks.replaceChildren(digitCanvas(new Uint8Array(784), 'An empty image'));
      looksText.textContent = 'Where the network looks';
    },
  };
}

function probabilityRow(digit, press) {
  const button = element('button', { type: 'button', class: 'link', 'aria-pressed': 'false', onclick: press }, String(digit));
  const bar = element('span', { class: 'bar' });
  const text = element('td', { class: 'number' });
  const track = element('td', { 'aria-hidden': 'true' }, element('div', { class: 'track' }, bar));
  const node = element('tr', {}, element('th', { scope: 'row' }, button), text, track);
  return {
    node,
    press: (pressed) => button.setAttribute('aria-pressed', String(pressed)),
    /** `probability` is null if there is none. */
    set(probability, isAnswer) {
      bar.style.width = `${100 * (probability || 0)}%`;
      text.textContent = probability === null || Number.isNaN(probability) ? '' : share(probability);
      node.classList.toggle('first', isAnswer);
    },
  };
}

/** The class map in the form of `overlayCanvas`. */
function scaledMap(network, steps, digit) {
  const { rows, columns, values } = classMap(network, steps, digit);
  const { first, jump } = network.class_maps;
  const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-12);
  const scaled = values.map((value) => (127 * value) / largest);
  return { values: scaled, width: columns, height: rows, start: first - jump / 2, cell: jump };
}

function hint(network) {
  if (!network.class_maps) return 'This network has no maps that show where it looks.';
  const { layers, exact, field } = network.class_maps;
  const layer = network.layers.slice(0, layers).findLast((each) => each.kind !== 'identity');
  const press = 'Press a digit in the table to see what speaks for that digit. Press it again to follow the answer.';
  const kind = exact
    ? 'One colour speaks for the digit, the other one speaks against it. The mean of the map is the logit.'
    : `Grad-CAM of layer ${layer.number} (${layer.text}): the coloured parts speak for the digit. Each value sees ${field} × ${field} pixels.`;
  return `${kind} ${press}`;
}
// --- image_changes.mjs
// Changes of a 28 x 28 image: turned, shifted, with noise.

const IMAGE_SIDE = 28;

/** No change. */
const NO_CHANGES = { angle: 0, right: 0, down: 0, noise: 0 };

/**
 * The image after `changes`: turned clockwise by `angle` degrees around its middle, then shifted by pixels, then with normal noise,
 * whose standard deviation `noise` is a part of 255. The noise is always the same, so that only the amount changes.
 */
function changedImage(pixels, changes) {
  const moved = changes.angle || changes.right || changes.down ? movedImage(pixels, changes) : Array.from(pixels);
  const random = randomNumbers(1);
  return Uint8Array.from(moved, (value) => {
    const noise = changes.noise ? 255 * changes.noise * normalNumber(random) : 0;
    return Math.floor(Math.min(Math.max(value + noise, 0), 255) + 0.5);
  });
}

/** Each new pixel comes from a place between four old pixels: bilinear interpolation. Outside of the image is paper. */
function movedImage(pixels, { angle, right, down }) {
  const [sin, cos] = [Math.sin((angle * Math.PI) / 180), Math.cos((angle * Math.PI) / 180)];
  const middle = (IMAGE_SIDE - 1) / 2;
  const at = (y, x) => (y >= 0 && y < IMAGE_SIDE && x >= 0 && x < IMAGE_SIDE ? pixels[y * IMAGE_SIDE + x] : 0);
  return Array.from({ length: IMAGE_SIDE ** 2 }, (_, i) => {
    const dx = (i % IMAGE_SIDE) - right - middle;
    const dy = Math.floor(i / IMAGE_SIDE) - down - middle;
    const [x, y] = [middle + cos * dx + sin * dy, middle - sin * dx + cos * dy];
    const [left, top] = [Math.floor(x), Math.floor(y)];
    const [u, v] = [x - left, y - top];
    const upper = (1 - u) * at(top, left) + u * at(top, left + 1);
    const lower = (1 - u) * at(top + 1, left) + u * at(top + 1, left + 1);
    return (1 - v) * upper + v * lower;
  });
}

/** A function that gives random numbers in 0..1, the same ones for the same `seed`. Source: the generator Mulberry32. */
function randomNumbers(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A number from the standard normal distribution (Box and Muller). */
function normalNumber(random) {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}
// --- live_maps.mjs
// The maps of all layers, drawn again with each change on the pad.


const MAPS_SHOWN = 32;
const PER_ROW = 16;
const TILE = 26; // the least side of a map on the canvas
const GAP = 3;
const HIDDEN = ['identity', 'flatten']; // they change no value

/** `node`, and `draw(steps)`, which shows the outputs of the steps. */
function liveMaps() {
  const node = element('div', { class: 'live-maps' });
  let rows = [];
  return {
    node,
    draw(steps) {
      const shown = rowsOf(steps).filter((step) => !HIDDEN.includes(step.layer.kind));
      if (!rows.length) {
        rows = shown.map((step) => mapRow(step));
        node.replaceChildren(...rows.map((row) => row.node));
      }
      const colours = [channels('var(--plus)'), channels('var(--minus)')];
      rows.forEach((row, i) => row.draw(shown[i].output, colours));
    },
  };
}

function mapRow({ layer, output }) {
  const [count, height = 1, width = 1] = output.shape;
  const maps = Math.min(count, MAPS_SHOWN);
  const columns = Math.min(maps, PER_ROW);
  const zoom = Math.max(1, Math.round((height * width === 1 ? TILE / 2 : TILE) / height));
  const size = { width: columns * (zoom * width + GAP) - GAP, height: Math.ceil(maps / columns) * (zoom * height + GAP) - GAP };
  const name = `${layer.number} · ${layer.block ? `${layer.block}: ` : ''}${layer.text}`;
  const what = height * width === 1 ? 'values' : `maps of ${height} × ${width}`;
  const cut = maps < count ? `${maps} of ${thousands(count)}` : count;
  const canvas = element('canvas', { ...size, class: 'pixels', role: 'img', 'aria-label': `${name}: ${cut} ${what}` });
  canvas.style.width = `${columns * (height * width === 1 ? 1.1 : 2.75)}rem`;
  const context = canvas.getContext('2d');
  const image = context.createImageData(size.width, size.height);
  const range = element('span', {});
  return {
    node: element(
      'figure',
      {},
      element('figcaption', {}, element('b', {}, name), element('span', {}, `${cut} ${what}`), range),
      canvas,
    ),
    draw({ data }, [plus, minus]) {
      let [lowest, highest] = [0, 0];
      for (let i = 0; i < data.length; i++) {
        if (data[i] < lowest) lowest = data[i];
        if (data[i] > highest) highest = data[i];
      }
      const scale = 255 / Math.max(highest, -lowest, 1e-12);
      for (let map = 0; map < maps; map++) {
        const [top, left] = [Math.floor(map / columns) * (zoom * height + GAP), (map % columns) * (zoom * width + GAP)];
        for (let y = 0; y < zoom * height; y++) {
          const row = (map * height + Math.floor(y / zoom)) * width;
          let pixel = 4 * ((top + y) * size.width + left);
          for (let x = 0; x < zoom * width; x++, pixel += 4) {
            const value = data[row + Math.floor(x / zoom)];
            const colour = value < 0 ? minus : plus;
            image.data[pixel] = colour[0];
            image.data[pixel + 1] = colour[1];
            image.data[pixel + 2] = colour[2];
            image.data[pixel + 3] = Math.abs(value) * scale;
          }
        }
      }
      context.putImageData(image, 0, 0);
      range.textContent = `${compact(lowest)} to ${compact(highest)}`;
    },
  };
}
// --- digit.mjs
// Turns a drawing into an image like those of MNIST: 28 x 28 pixels, ink is 255, paper is 0.
//
// This is `mnist_lite/insight/as_mnist.py` for a drawing whose paper is known. The results are the same. MNIST's digits were scaled
// to fit into 20 x 20 pixels and were placed with their centre of mass in the middle.

const MNIST_SIDE = 28;
const BOX = 20;
const CENTRE = 14;
const LEAST_CONTRAST = 12 / 255;

/**
 * The drawing as MNIST has it: 784 values. Null: nothing is drawn.
 *
 * @param {{width: number, height: number, data: Uint8Array}} drawing - Ink 0..255, row by row. The edge has no ink.
 */
function asMnist(drawing) {
  const ink = withoutSpecks(drawing);
  return ink && centred(inBox(ink));
}

/** The amount of ink, 0..1, without specks. Null: there is no ink. */
function withoutSpecks(drawing) {
  const drawn = cropped(drawing, 0, 1);
  if (!drawn) return null;
  const contrast = Float64Array.from(drawn.data, (value) => value / 255);
  const largest = largestOf(contrast);
  if (largest <= LEAST_CONTRAST) return null;
  const { parts, count } = connectedParts(contrast, drawn.width);
  const threshold = otsu(contrast, largest, drawing.width * drawing.height - contrast.length);
  const areas = new Float64Array(count + 1);
  for (let i = 0; i < parts.length; i++) if (contrast[i] > threshold) areas[parts[i]]++;
  areas[0] = 0;
  const least = 0.05 * largestOf(areas);
  for (let i = 0; i < parts.length; i++) if (!(areas[parts[i]] > least)) contrast[i] = 0;
  const full = largestOf(contrast);
  for (let i = 0; i < parts.length; i++) contrast[i] = Math.min(contrast[i] / full, 1);
  return { ...drawn, data: contrast };
}

function largestOf(values) {
  let largest = values[0];
  for (let i = 1; i < values.length; i++) if (values[i] > largest) largest = values[i];
  return largest;
}

/** Numbers the parts of the ink that are connected, corners too, from 1. Paper is 0. */
function connectedParts(ink, width) {
  const parts = new Int32Array(ink.length);
  const neighbours = [-width - 1, -width, -width + 1, -1, 1, width - 1, width, width + 1];
  let count = 0;
  for (let start = 0; start < ink.length; start++) {
    if (!(ink[start] > 0) || parts[start]) continue;
    parts[start] = ++count;
    const open = [start];
    while (open.length) {
      const place = open.pop();
      for (const step of neighbours) {
        const next = place + step; // the edge has no ink, so this is never the other side
        if (ink[next] > 0 && !parts[next]) {
          parts[next] = count;
          open.push(next);
        }
      }
    }
  }
  return { parts, count };
}

/**
 * Otsu's threshold: it splits values, which are 0 or more, into two classes with the largest variance between them. The values are
 * `values`, and `zeros` more that are 0.
 */
function otsu(values, largest, zeros) {
  const counts = new Float64Array(256);
  counts[0] = zeros;
  for (let i = 0; i < values.length; i++) counts[Math.floor(Math.min(256 * (values[i] / largest), 255))]++;
  const centres = Array.from(counts, (_, i) => ((i + 0.5) / 256) * largest);
  const total = values.length + zeros;
  const all = counts.reduce((sum, count, i) => sum + count * centres[i], 0);
  let [best, bestVariance, below, sum] = [0, -1, 0, 0];
  for (let i = 0; i < 255; i++) {
    below += counts[i];
    sum += counts[i] * centres[i];
    const variance = ((all * below) / total - sum) ** 2 / (below * (total - below));
    if (variance > bestVariance) [best, bestVariance] = [i, variance];
  }
  return centres[best];
}

/** The digit alone, scaled so that its longer side is 20 pixels. */
function inBox(ink) {
  let digit = cropped(ink, 0, 0);
  if (Math.max(digit.width, digit.height) > BOX) digit = cropped(ink, 0.5, 0); // without the soft edge of a large digit
  const longer = Math.max(digit.width, digit.height);
  const [width, height] = [digit.width, digit.height].map((side) => Math.max(1, rounded((side * BOX) / longer)));
  const scaled = resampled(digit, width, height);
  const full = largestOf(scaled);
  return { width, height, data: scaled.map((value) => value / full) };
}

/** The part of `image` that has values above `least`, with a margin. Null: there is none. */
function cropped({ width, height, data }, least, margin) {
  let [top, bottom, left, right] = [height, -1, width, -1];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (!(data[y * width + x] > least)) continue;
      if (y < top) top = y;
      bottom = y;
      if (x < left) left = x;
      if (x > right) right = x;
    }
  }
  if (bottom < 0) return null;
  [top, left, bottom, right] = [top - margin, left - margin, bottom + margin, right + margin];
  const cut = { width: right - left + 1, height: bottom - top + 1 };
  cut.data = new data.constructor(cut.width * cut.height);
  for (let y = 0; y < cut.height; y++) {
    const start = (y + top) * width + left;
    cut.data.set(data.subarray(start, start + cut.width), y * cut.width);
  }
  return cut;
}

/** `image` in `width` x `height` pixels. */
function resampled(image, width, height) {
  const columns = resampling(image.width, width);
  const rows = resampling(image.height, height);
  const narrow = new Float64Array(width * image.height);
  for (let y = 0; y < image.height; y++) {
    for (let x = 0; x < width; x++) {
      for (const [old, weight] of columns[x]) narrow[y * width + x] += weight * image.data[y * image.width + old];
    }
  }
  const result = new Float64Array(width * height);
  for (let y = 0; y < height; y++) {
    for (const [old, weight] of rows[y]) {
      for (let x = 0; x < width; x++) result[y * width + x] += weight * narrow[old * width + x];
    }
  }
  return result;
}

/**
 * For each new pixel, the old pixels that it is made of, with their weights. Their sum is 1. To fewer pixels, a weight is the part of
 * the new pixel that the old one covers. To more pixels, it is linear interpolation.
 */
function resampling(size, count) {
  const width = size / count;
  return Array.from({ length: count }, (_, i) => {
    const centre = (i + 0.5) * width;
    const weights = [];
    for (let old = Math.max(0, Math.floor(centre - width / 2) - 1); old < Math.min(size, centre + width / 2 + 1); old++) {
      const overlap = Math.min(old + 1, centre + width / 2) - Math.max(old, centre - width / 2);
      const distance = Math.abs(Math.min(Math.max(centre - 0.5, 0), size - 1) - old);
      const weight = count < size ? overlap / width : 1 - distance;
      if (weight > 0) weights.push([old, weight]);
    }
    return weights;
  });
}

/** The nearest integer. A half is rounded up, in spite of small errors. */
function rounded(value) {
  return Math.floor(value + 0.5 + 1e-6);
}

/** The digit in 28 x 28 pixels, with its centre of mass in the middle. */
function centred({ width, height, data }) {
  let [total, rows, columns] = [0, 0, 0];
  data.forEach((ink, i) => {
    total += ink;
    rows += ink * Math.floor(i / width);
    columns += ink * (i % width);
  });
  const top = CENTRE - rounded(rows / total);
  const left = CENTRE - rounded(columns / total);
  const image = new Uint8Array(MNIST_SIDE ** 2);
  for (let y = Math.max(0, -top); y < Math.min(height, MNIST_SIDE - top); y++) {
    for (let x = Math.max(0, -left); x < Math.min(width, MNIST_SIDE - left); x++) {
      image[(y + top) * MNIST_SIDE + x + left] = Math.floor(255 * data[y * width + x] + 0.5);
    }
  }
  return image;
}
// --- pad.mjs
// The pad: a sheet of paper on which the reader draws with mouse, finger, stylus or keyboard.
//
// The opacity of a pixel is its ink. An image of the test split can lie on the pad; strokes of pen and eraser change it.


const PAD_SIDE = 448; // 16 x 28
const STEP = PAD_SIDE / 28;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const HELP =
  'Drawing pad. With the keyboard: the arrow keys move the pen, Space puts it down or lifts it, Shift makes small steps, ' +
  'Backspace undoes, Delete clears.';

/** A pad. `tool()` gives {width, erase}. `changed()` is called after each change. */
function createPad(tool, changed) {
  const canvas = element('canvas', { width: PAD_SIDE, height: PAD_SIDE, tabindex: 0, role: 'application', 'aria-label': HELP });
  const cursor = element('div', { class: 'pen', 'aria-hidden': 'true' });
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.beginPath();
  context.rect(1, 1, PAD_SIDE - 2, PAD_SIDE - 2); // asMnist expects an edge without ink
  context.clip();
  Object.assign(context, { lineCap: 'round', lineJoin: 'round' });

  /** `image`: {pixels, text}, or null for an empty sheet. */
  let sheet = { image: null, strokes: [] };
  const earlier = [];
  const pen = { x: PAD_SIDE / 2, y: PAD_SIDE / 2, down: false };

  function replace(next) {
    earlier.push(sheet);
    sheet = next;
    liftPen();
    redraw();
  }

  function redraw() {
    canvas.classList.toggle('light-ink', channels('var(--ink)')[0] > 127); // the pixels are black in both themes
    context.globalCompositeOperation = 'source-over';
    context.clearRect(0, 0, PAD_SIDE, PAD_SIDE);
    if (sheet.image) drawImage(context, sheet.image.pixels);
    for (const stroke of sheet.strokes) drawStroke(context, stroke.points, stroke);
    changed();
  }

  function begin(point, erase) {
    const { width, erase: erases } = tool();
    const stroke = { points: [point, point], width, erase: erases || erase };
    earlier.push(sheet);
    sheet = { ...sheet, strokes: [...sheet.strokes, stroke] };
    drawStroke(context, stroke.points, stroke);
    changed();
  }

  function extend(point) {
    const stroke = sheet.strokes.at(-1);
    drawStroke(context, [stroke.points.at(-1), point], stroke);
    stroke.points.push(point);
    changed();
  }

  function undo() {
    if (!earlier.length) return;
    sheet = earlier.pop();
    liftPen();
    redraw();
  }

  function clear() {
    replace({ image: null, strokes: [] });
  }

  function liftPen() {
    pen.down = false;
    cursor.classList.remove('down');
  }

  function place(event) {
    const box = canvas.getBoundingClientRect();
    return {
      x: ((event.clientX - box.left) * PAD_SIDE) / box.width,
      y: ((event.clientY - box.top) * PAD_SIDE) / box.height,
    };
  }

  let pointer = null;
  canvas.addEventListener('pointerdown', (event) => {
    if (pointer !== null || (event.pointerType === 'mouse' && event.button > 0)) return;
    liftPen();
    pointer = event.pointerId;
    canvas.setPointerCapture(pointer);
    begin(place(event), event.button === 5); // the other end of a stylus
  });
  canvas.addEventListener('pointermove', (event) => {
    if (event.pointerId !== pointer) return;
    const all = event.getCoalescedEvents?.() ?? [];
    for (const part of all.length ? all : [event]) extend(place(part));
  });
  for (const end of ['pointerup', 'pointercancel', 'lostpointercapture']) {
    canvas.addEventListener(end, (event) => {
      if (event.pointerId === pointer) pointer = null;
    });
  }

  function showCursor() {
    cursor.style.left = `${(100 * pen.x) / PAD_SIDE}%`;
    cursor.style.top = `${(100 * pen.y) / PAD_SIDE}%`;
  }

  canvas.addEventListener('keydown', (event) => {
    const arrow = ARROWS[event.key];
    if (arrow) {
      const step = event.shiftKey ? STEP / 4 : STEP;
      const inside = (value) => Math.min(Math.max(value, 0), PAD_SIDE);
      Object.assign(pen, { x: inside(pen.x + step * arrow[0]), y: inside(pen.y + step * arrow[1]) });
      showCursor();
      if (pen.down) extend({ x: pen.x, y: pen.y });
    } else if (event.key === ' ') {
      pen.down = !pen.down;
      cursor.classList.toggle('down', pen.down);
      if (pen.down) begin({ x: pen.x, y: pen.y }, false);
    } else if (event.key === 'Backspace' || (event.key === 'z' && (event.ctrlKey || event.metaKey))) {
      undo();
    } else if (event.key === 'Delete') {
      clear();
    } else {
      return;
    }
    event.preventDefault();
  });
  canvas.addEventListener('blur', liftPen);
  showCursor();

  return {
    node: element('div', { class: 'pad' }, canvas, cursor),
    undo,
    redraw,
    clear,
    /** Lays an image, {pixels, text}, on the pad. */
    show: (image) => replace({ image, strokes: [] }),
    /** The text of the image on the pad. */
    text: () => sheet.image?.text ?? '',
    /** 784 values: the drawing as MNIST has it, or the image with its changes. Null: nothing is drawn. */
    read() {
      if (!sheet.image && !sheet.strokes.length) return null;
      const drawing = { width: PAD_SIDE, height: PAD_SIDE, data: inkOf(context) };
      if (!sheet.image) return asMnist(drawing);
      return Uint8Array.from(resampled(drawing, 28, 28), (value) => Math.floor(value + 0.5));
    },
  };
}

function inkOf(context) {
  const { data } = context.getImageData(0, 0, PAD_SIDE, PAD_SIDE);
  const ink = new Uint8Array(PAD_SIDE ** 2);
  for (let i = 0; i < ink.length; i++) ink[i] = data[4 * i + 3];
  return ink;
}

/** Line by line, as the points came: one long path would have other soft edges. */
function drawStroke(context, points, { width, erase }) {
  context.globalCompositeOperation = erase ? 'destination-out' : 'source-over';
  context.lineWidth = width;
  for (let i = 1; i < points.length; i++) {
    context.beginPath();
    context.moveTo(points[i - 1].x, points[i - 1].y);
    context.lineTo(points[i].x + 0.01, points[i].y); // a line without length would draw nothing
    context.stroke();
  }
}

/** Draws 784 values as squares. */
function drawImage(context, pixels) {
  pixels.forEach((value, i) => {
    if (!value) return;
    context.fillStyle = `rgb(0 0 0 / ${value / 255})`;
    context.fillRect((i % 28) * STEP, Math.floor(i / 28) * STEP, STEP, STEP);
  });
}
// --- canvas.mjs
// The canvas: the reader draws a digit, or changes a test image, and sees the network's answer at once.


const WIDTHS = { min: 12, max: 72, step: 2, value: 36 };
const CHANGES = {
  angle: { label: 'Turn', unit: '°', min: -90, max: 90, step: 5 },
  right: { label: 'Move right', unit: ' px', min: -10, max: 10, step: 1 },
  down: { label: 'Move down', unit: ' px', min: -10, max: 10, step: 1 },
  noise: { label: 'Noise', unit: ' %', min: 0, max: 60, step: 5, scale: 0.01 },
};

/**
 * Builds the canvas inside `root`.
 *
 * @param {object} network - As `readNetwork` gives it.
 * @param {object | null} images - TestImages.
 * @returns {{redraw: function(): void}} `redraw()` draws again in the colours of the theme.
 */
function mountCanvas(root, network, images) {
  const tool = { width: WIDTHS.value, erase: false };
  let changes = { ...NO_CHANGES };
  let waiting = false;

  const pad = createPad(() => tool, requestUpdate);
  const answer = answerPanel(network);
  const maps = liveMaps();
  const time = element('p', { class: 'hint time' });
  const legend = element(
    'p',
    { class: 'hint' },
    'Each square is a map. Orange is positive, blue is negative, and the full colour is the largest value of the layer. ',
    'Layers that do nothing after the training are left out, such as dropout.',
  );
  const mapsPart = element('div', { hidden: true }, element('h3', {}, 'What each layer makes of it'), legend, maps.node);

  /** Many events come between two frames. One update for all of them is enough. */
  function requestUpdate() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      update();
    });
  }

  function update() {
    const start = performance.now();
    const image = pad.read();
    testImages?.describe(pad.text());
    mapsPart.hidden = !image;
    pad.node.classList.toggle('empty', !image);
    if (!image) {
      answer.clear();
      time.textContent = '';
      return;
    }
    const pixels = changedImage(image, changes);
    const steps = computeNetwork(network, pixels);
    answer.draw(pixels, steps);
    maps.draw(steps);
    time.textContent = `This update took ${(performance.now() - start).toFixed(1)} ms.`;
  }

  const tools = element(
    'div',
    { class: 'controls' },
    radios(
      'tool',
      'Tool',
      [
        ['pen', 'Pen'],
        ['eraser', 'Eraser'],
      ],
      'pen',
      (value) => (tool.erase = value === 'eraser'),
    ),
    slider('Line width', WIDTHS, (value) => (tool.width = value), String).node,
    element(
      'div',
      { class: 'pair' },
      element('button', { type: 'button', onclick: pad.undo }, 'Undo'),
      element('button', { type: 'button', onclick: pad.clear }, 'Clear'),
    ),
  );
  const sliders = Object.entries(CHANGES).map(([key, range]) =>
    slider(
      range.label,
      { value: 0, ...range },
      (value) => {
        changes = { ...changes, [key]: value * (range.scale ?? 1) };
        requestUpdate();
      },
      (value) => `${value}${range.unit}`,
    ),
  );
  const reset = () => sliders.forEach((each) => each.set(0));
  const changesPart = element(
    'fieldset',
    {},
    element('legend', {}, 'Change the image'),
    ...sliders.map((each) => each.node),
    element('button', { type: 'button', onclick: reset }, 'Reset'),
  );
  const testImages = images && stepper(images, pad.show);
  const more = element('div', { class: 'more' }, testImages?.node, changesPart);
  const draw = element('div', { class: 'draw' }, pad.node, tools);
  root.append(element('div', { class: 'canvas-view' }, draw, ...answer.nodes, more), time, mapsPart);
  pad.redraw();
  return { redraw: pad.redraw };
}

/** A labelled slider: `node`, and `set(value)`. `text(value)` is shown beside the label. */
function slider(label, { min, max, step, value }, change, text) {
  const shown = element('span', {}, text(value));
  const input = element('input', { type: 'range', min, max, step, value });
  const show = () => {
    shown.textContent = text(Number(input.value));
    input.setAttribute('aria-valuetext', shown.textContent);
    change(Number(input.value));
  };
  input.addEventListener('input', show);
  return {
    node: element('label', { class: 'slider' }, element('span', {}, `${label} `, shown), input),
    set(next) {
      input.value = next;
      show();
    },
  };
}

/** Steps through the test images of the page: `node`, and `describe(text)`. `show` lays one on the pad. */
function stepper(images, show) {
  const all = Array.from({ length: images.count }, (_, i) => i);
  const mistakes = all.filter((i) => images.labels[i] !== images.predictions[i]);
  let place = -1;
  const onlyMistakes = element('input', { type: 'checkbox' });
  const text = element('p', { class: 'hint', role: 'status' });
  const go = (by) => {
    const list = onlyMistakes.checked ? mistakes : all;
    const next = by > 0 ? list.find((i) => i > place) : list.findLast((i) => i < place);
    place = next ?? (by > 0 ? list[0] : list.at(-1));
    show({ pixels: images.pixels(place), text: description(images, place) });
  };
  const choice = mistakes.length ? element('label', {}, onlyMistakes, ` only the ${counted(mistakes.length, 'mistake')}`) : null;
  const node = element(
    'fieldset',
    {},
    element('legend', {}, `Take one of ${counted(images.count, 'test image')}`),
    element('button', { type: 'button', onclick: () => go(-1) }, '← Previous'),
    element('button', { type: 'button', onclick: () => go(1) }, 'Next →'),
    choice,
    text,
  );
  return { node, describe: (described) => setText(text, described || 'You can draw on it and erase parts of it.') };
}

function description(images, i) {
  const [label, prediction] = [images.labels[i], images.predictions[i]];
  const taken = label === prediction ? '' : ` Unchanged, the network takes it for a ${prediction}.`;
  return `Test image ${images.index[i]} is a ${label}.${taken}`;
}
// --- commands.mjs
// The commands that train the runs again.


function commandsSection(data) {
  const lead =
    'Each command trains a run again. On the same machine with the same versions, the result is the same bit for bit. Elsewhere it is nearly the same.';
  return section('commands', 'Train it again', lead, ...data.runs.map((run) => runCommands(run, data.runs.length > 1)));
}

function runCommands(run, named) {
  const [first, ...others] = run.commands;
  const rest = others.length
    ? details(others.length === 1 ? 'The other seed' : `The other ${others.length} seeds`, ...others.map(command))
    : null;
  return element(
    'div',
    { class: 'command' },
    named ? element('h3', {}, `${run.letter} · ${run.name}`) : null,
    command(first),
    rest,
    element('p', { class: 'hint' }, `Trained on ${run.trained_on}: ${run.conditions}.`),
  );
}

function command(run) {
  if (!run.command) {
    return element(
      'p',
      {},
      'No command was found that makes this config from the shipped files. The file ',
      element('code', {}, 'config.yaml'),
      ` in the folder ${run.folder} has the whole config.`,
    );
  }
  const status = element('span', { class: 'hint', role: 'status' });
  const code = element('code', {}, run.command);
  const copy = element(
    'button',
    { type: 'button', class: 'quiet', 'aria-label': `Copy the command of seed ${run.seed}`, onclick: () => copied(code, status) },
    'Copy',
  );
  return element(
    'div',
    { class: 'line' },
    element('pre', { tabindex: '0', 'aria-label': `Command of seed ${run.seed}` }, code),
    copy,
    status,
  );
}

/** Some browsers allow no clipboard to a page from a file. Then the text is selected. */
async function copied(code, status) {
  try {
    await navigator.clipboard.writeText(code.textContent);
    status.textContent = 'copied';
  } catch {
    window.getSelection().selectAllChildren(code);
    status.textContent = 'selected; press Ctrl+C';
  }
}
// --- confusion.mjs
// The confusion matrix. A click on a cell shows its images.


const MAX_SHOWN = 100;
const DIGITS = [...Array(10).keys()];

function confusionSection(tested, images) {
  const right = `${percent(tested.accuracy)} % of ${tested.measured_on} are on the diagonal.`;
  const lead = [`Each row is a digit, each column an answer of the network: ${right}`, howTo('Click a cell to see its images.')];
  const panel = element('div', { class: 'cell-images', 'aria-live': 'polite' });
  const show = (digit, answer) => showCell(panel, tested, images, digit, answer);
  const worst = mostConfused(tested.confusion);
  const matrix = grid(tested, show, worst);
  if (worst) show(...worst);
  else panel.append(element('p', {}, 'There is no mistake.'));
  return section('confusion', 'Confusion', lead, element('div', { class: 'side-by-side' }, matrix, panel), classTable(tested));
}

/** The digit and the wrong answer with the most images. Null: there is no mistake. */
function mostConfused(confusion) {
  let best = null;
  for (const digit of DIGITS) {
    for (const answer of DIGITS) {
      const count = confusion[digit][answer];
      if (digit !== answer && count > (best ? confusion[best[0]][best[1]] : 0)) best = [digit, answer];
    }
  }
  return best;
}

/** The places in the page of the images of a cell: those with the highest probability first. */
function imagesOfCell(tested, labels, digit, answer) {
  const places = labels.flatMap((label, i) => (label === digit && tested.predictions[i] === answer ? [i] : []));
  return places.sort((a, b) => tested.confidence[b] - tested.confidence[a]);
}

function grid(tested, show, chosen) {
  const most = Math.max(
    1,
    ...DIGITS.map((digit) => Math.max(...tested.confusion[digit].map((count, answer) => (answer === digit ? 0 : count)))),
  );
  const heads = DIGITS.map((digit) => element('th', { scope: 'col' }, String(digit)));
  let pressed = null;
  const press = (button, digit, answer) => {
    pressed?.setAttribute('aria-pressed', 'false');
    pressed = button;
    button.setAttribute('aria-pressed', 'true');
    show(digit, answer);
  };
  const cell = (digit, answer) => {
    const count = tested.confusion[digit][answer];
    if (!count) return element('td', {}, element('span', { class: 'none' }, '·'));
    const button = element(
      'button',
      { type: 'button', 'aria-pressed': 'false', 'aria-label': `${counted(count, 'image')} of ${digit} taken for ${answer}` },
      thousands(count),
    );
    button.addEventListener('click', () => press(button, digit, answer));
    if (digit !== answer) {
      button.style.setProperty('--strength', `${Math.round(10 + (40 * count) / most)}%`);
    }
    if (chosen && digit === chosen[0] && answer === chosen[1]) {
      pressed = button;
      button.setAttribute('aria-pressed', 'true');
    }
    return element('td', { class: digit === answer ? 'right' : 'wrong' }, button);
  };
  const rows = DIGITS.map((digit) =>
    element('tr', {}, element('th', { scope: 'row' }, String(digit)), ...DIGITS.map((answer) => cell(digit, answer))),
  );
  const corner = element('td', { class: 'corner' }, 'digit ↓ answer →');
  const caption = element('caption', { class: 'hidden' }, 'Confusion matrix');
  return scrollable(
    'Confusion matrix',
    element(
      'table',
      { class: 'confusion' },
      caption,
      element('thead', {}, element('tr', {}, corner, ...heads)),
      element('tbody', {}, ...rows),
    ),
  );
}

function showCell(panel, tested, images, digit, answer) {
  const places = imagesOfCell(tested, images.labels, digit, answer);
  const count = tested.confusion[digit][answer];
  const what = digit === answer ? `${digit} recognised` : `${digit} taken for ${answer}`;
  const shown = places.slice(0, MAX_SHOWN);
  const cut =
    shown.length < count
      ? `The page shows ${thousands(shown.length)} of ${counted(count, 'image')}.`
      : `${counted(count, 'image')}.`;
  const figures = shown.map((i) =>
    element(
      'figure',
      {},
      digitCanvas(images.pixels(i), `Test image ${images.index[i]}, a ${digit}`),
      element('figcaption', {}, share(tested.confidence[i])),
    ),
  );
  panel.replaceChildren(
    element('h3', {}, what),
    element(
      'p',
      { class: 'hint' },
      `${cut} Below each image: the probability that the network gave to its answer. The highest comes first.`,
    ),
    element('div', { class: 'thumbnails', tabindex: '0', role: 'group', 'aria-label': 'Images of the cell' }, ...figures),
  );
}

function classTable(tested) {
  const heads = ['Digit', 'Images', 'Precision, %', 'Recall, %', 'F1, %'].map((title) =>
    element('th', { scope: 'col', class: 'number' }, title),
  );
  const rows = tested.classes.map((each) =>
    element(
      'tr',
      {},
      element('th', { scope: 'row', class: 'number' }, String(each.digit)),
      ...[thousands(each.images), percent(each.precision), percent(each.recall), percent(each.f1)].map((text) =>
        element('td', { class: 'number' }, text),
      ),
    ),
  );
  const caption = element('caption', { class: 'hidden' }, 'Figures of each digit');
  const made = element('table', {}, caption, element('thead', {}, element('tr', {}, ...heads)), element('tbody', {}, ...rows));
  return element('details', {}, element('summary', {}, 'The figures of each digit'), scrollable('Figures of each digit', made));
}
// --- curve_data.mjs
// The lines of the curves: smoothed, and averaged over seeds.

/** Where each metric comes from. `kind`: evaluations or training steps. `exact`: it is never smoothed. */
const METRICS = {
  accuracy: {
    title: 'Accuracy',
    unit: '%',
    lines: [
      { name: 'test', kind: 'evaluations', key: 'test/accuracy' },
      { name: 'holdout', kind: 'evaluations', key: 'holdout/accuracy' },
      { name: 'train', kind: 'evaluations', key: 'train/epoch_accuracy' },
    ],
  },
  error: {
    title: 'Error',
    unit: '% wrong',
    log: true,
    lines: [
      { name: 'test', kind: 'evaluations', key: 'test/accuracy', error: true },
      { name: 'holdout', kind: 'evaluations', key: 'holdout/accuracy', error: true },
      { name: 'train', kind: 'evaluations', key: 'train/epoch_accuracy', error: true },
    ],
  },
  loss: {
    title: 'Loss',
    unit: 'nats',
    log: true,
    meaning:
      'The loss is the mean of −ln(the probability of the right digit). Its unit is the nat: 0 is perfect, and 2.30 is a guess among ten digits.',
    lines: [
      { name: 'test', kind: 'evaluations', key: 'test/loss' },
      { name: 'holdout', kind: 'evaluations', key: 'holdout/loss' },
      { name: 'train', kind: 'evaluations', key: 'train/epoch_loss' },
      { name: 'training steps', kind: 'steps', key: 'train/loss' },
    ],
  },
  lr: { title: 'Learning rate', unit: '', lines: [{ name: 'learning rate', kind: 'steps', key: 'lr', exact: true }] },
};

/** The metrics that a run of `curves` has. */
function recordedMetrics(curves) {
  const has = (line) => curves.some((run) => run[line.kind][line.key]?.length);
  return Object.keys(METRICS).filter((metric) => METRICS[metric].lines.some(has));
}

/**
 * An exponential moving average. `amount` is in 0..0.99, and 0 changes nothing. The start is corrected, so that it does not lean
 * to zero: each value is a weighted mean of the values so far.
 */
function smoothed(values, amount) {
  let sum = 0;
  let weight = 0;
  return values.map((value) => {
    if (value === null || value === undefined) return null;
    sum = amount * sum + (1 - amount) * value;
    weight = amount * weight + (1 - amount);
    return sum / weight;
  });
}

/**
 * One line of a group of runs that differ in their seed: {x, mean, low, high}. At each step that all runs have, it is the mean, the
 * lowest and the highest value of the runs. `axis`: step, epoch or seconds. Null: no run has the metric.
 */
function groupLine(runs, line, axis, amount) {
  const columns = runs.map((run) => run[line.kind]).filter((column) => column[line.key]);
  if (!columns.length) return null;
  const values = columns.map((column) => smoothed(column[line.key], amount).map((value) => shown(value, line)));
  const places = columns.map((column) => new Map(column.step.map((step, i) => [step, i])));
  const steps = columns[0].step.filter((step) => places.every((place) => place.has(step)));
  const made = { x: [], mean: [], low: [], high: [] };
  for (const step of steps) {
    const at = places.map((place) => place.get(step));
    const known = at.map((i, run) => values[run][i]).filter((value) => value !== null);
    if (known.length < columns.length) continue;
    made.x.push(mean(at.map((i, run) => columns[run][axis][i])));
    made.mean.push(mean(known));
    made.low.push(Math.min(...known));
    made.high.push(Math.max(...known));
  }
  return made;
}

/** Accuracy as error. A logarithm has no place for an error of 0. */
function shown(value, line) {
  if (value === null || !line.error) return value;
  return value >= 100 ? null : 100 - value;
}

function mean(values) {
  return values.reduce((a, b) => a + b) / values.length;
}

/** The place in sorted `x` that is nearest to `value`. */
function nearest(x, value) {
  let best = 0;
  for (let i = 1; i < x.length; i++) if (Math.abs(x[i] - value) < Math.abs(x[best] - value)) best = i;
  return best;
}
// --- curve_plot.mjs
// What uPlot draws: the axes, the lines and their bands.


/** The axes that curves can be drawn against, and their titles. */
const AXES = { step: 'training steps', epoch: 'epochs', seconds: 'seconds of training' };
/** A line of at most so many points has a mark at each. A line of one point is only a mark. */
const MAX_MARKS = 12;
/** Distances between ticks of epochs and steps. */
const WHOLE = [1, 10, 100, 1000, 1e4, 1e5].flatMap((power) => [power, 2 * power, 5 * power]);

/**
 * uPlot's options for the lines `visible` of `metric` against the axis `name`. Lines of `several` groups are a little transparent. A
 * line of several runs is three series: its mean, and the edges of its band.
 */
function plotOptions(visible, metric, name, several) {
  const ink = resolved('var(--muted)');
  const grid = { stroke: resolved('var(--grid)'), width: 1 };
  const axis = {
    stroke: ink,
    grid,
    ticks: { ...grid, size: 4 },
    font: '12px system-ui, sans-serif',
    labelFont: '12px system-ui, sans-serif',
    labelSize: 20,
  };
  const series = [{}];
  const bands = [];
  for (const line of visible) {
    const colour = resolved(line.colour);
    series.push({
      stroke: colour,
      width: line.faint ? 1 : line.width,
      alpha: line.faint ? 0.55 : several ? 0.85 : 1,
      dash: line.dash,
      spanGaps: true,
      points: { show: line.x.length <= MAX_MARKS, size: 7, fill: colour },
    });
    if (!line.several) continue;
    const edge = { stroke: 'transparent', width: 0, spanGaps: true, points: { show: false } };
    series.push(edge, edge);
    bands.push({ series: [series.length - 2, series.length - 1], fill: `${colour}2e` });
  }
  const unit = metric.unit ? `, ${metric.unit}` : '';
  return {
    series,
    bands,
    legend: { show: false },
    cursor: { drag: { x: true, y: true, uni: 30 }, points: { size: 7 }, focus: { prox: -1 } },
    scales: { x: { time: false }, y: metric.log ? { distr: 3 } : {} },
    axes: [
      {
        ...axis,
        label: AXES[name],
        size: 34,
        space: 60,
        incrs: name === 'seconds' ? undefined : WHOLE,
        values: (_, ticks) => ticks.map((tick) => compact(tick)),
      },
      {
        ...axis,
        label: `${metric.title.toLowerCase()}${unit}`,
        size: 58,
        values: (_, ticks) => ticks.map((tick) => (tick === null ? '' : String(Number(tick.toPrecision(6))))),
      },
    ],
  };
}

/** The lines of the first groups are below the others, and wider: so a line that lies under another one can be seen. */
function lineWidth(group, groups) {
  return groups < 2 ? 2 : 3.5 - (2 * group) / (groups - 1);
}
// --- curves.mjs
// The curves of the training: uPlot draws them.

/* global uPlot */

const NOT_TEST = { holdout: [2, 4], train: [6, 5], 'training steps': [] };
const MAX_ROWS = 100;

/** The section, and a function that draws it again. Null: no run has curves. */
function curvesSection(data) {
  if (!data.curves.length) return null;
  const panel = new CurvePanel(data);
  const seeds = Math.max(...data.runs.map((run) => run.seeds.length));
  const band = seeds > 1 ? 'A line is the mean over seeds, and its band goes from the lowest to the highest seed.' : '';
  const zoom = 'Drag over the picture to zoom, and double-click to see all again. Click a name to hide its line.';
  const lead = [band, howTo(zoom)];
  return { node: section('curves', 'Curves', lead, panel.root), redraw: () => panel.draw() };
}

class CurvePanel {
  constructor(data) {
    this.data = data;
    this.metric = 'accuracy';
    this.axis = 'epoch';
    this.smoothing = 0;
    this.several = data.runs.length > 1;
    this.hidden = new Set(this.several ? ['train', 'training steps'] : []);
    this.plot = null;
    this.readouts = [];
    this.box = element('div', {
      class: 'plot',
      tabindex: '0',
      role: 'group',
      'aria-describedby': 'curves-keys',
      onkeydown: (event) => this.key(event),
    });
    this.names = element('div', { class: 'chips', role: 'group', 'aria-label': 'Lines' });
    this.meaning = element('p', { class: 'hint' });
    this.position = element('p', { class: 'position', 'aria-live': 'polite' });
    this.values = element('div', {});
    this.root = element(
      'div',
      {},
      this.controls(),
      this.box,
      this.position,
      this.names,
      this.meaning,
      this.help(),
      this.valuesTable(),
    );
    new ResizeObserver(() => this.resize()).observe(this.box);
    this.draw();
  }

  controls() {
    const redraw = (name) => (value) => {
      this[name] = value;
      this.draw();
    };
    const metrics = recordedMetrics(this.data.curves).map((key) => [key, METRICS[key].title]);
    const smoothing = element('input', {
      type: 'range',
      min: '0',
      max: '0.95',
      step: '0.05',
      value: '0',
      id: 'smoothing',
      oninput: (event) => {
        amount.textContent = event.target.value;
        redraw('smoothing')(Number(event.target.value));
      },
    });
    const amount = element('output', { for: 'smoothing' }, '0');
    return element(
      'div',
      { class: 'controls' },
      radios('metric', 'Show', metrics, this.metric, redraw('metric')),
      radios(
        'axis',
        'Against',
        Object.keys(AXES).map((key) => [key, key]),
        this.axis,
        redraw('axis'),
      ),
      element('label', { class: 'slider' }, element('span', {}, 'Smoothing of the lines: ', amount), smoothing),
      element('button', { type: 'button', id: 'zoom-out', onclick: () => this.zoomOut() }, 'Show all'),
    );
  }

  help() {
    const text = 'With the keyboard: arrow keys read values, + and − zoom, Shift and arrow keys move the picture, 0 shows all.';
    return element('p', { class: 'hint', id: 'curves-keys' }, text);
  }

  valuesTable() {
    const opened = details('The values as a table', this.values);
    opened.addEventListener('toggle', () => this.fillTable());
    this.opened = opened;
    return opened;
  }

  /**
   * The lines of the chosen metric: {x, mean, low, high, exact, name, group, kind, colour, dash, width, several, faint}. `exact` has
   * the values without smoothing: {x, mean}.
   */
  lines() {
    return this.data.runs.flatMap((group, i) => {
      const runs = this.data.curves.filter((run) => run.group === i);
      return METRICS[this.metric].lines.flatMap((line, j) => {
        const exact = groupLine(runs, line, this.axis, 0);
        if (!exact || !exact.x.length) return [];
        const made = line.exact || !this.smoothing ? exact : groupLine(runs, line, this.axis, this.smoothing);
        const kind = line.name;
        const style = this.several
          ? { name: `${group.name}, ${kind}`, colour: seriesColour(i), dash: NOT_TEST[kind] ?? seriesDash(i) }
          : { name: kind, colour: seriesColour(j), dash: [] };
        const width = lineWidth(i, this.data.runs.length);
        const faint = kind === 'training steps';
        return [{ ...made, ...style, exact, width, group: group.letter, kind, several: runs.length > 1, faint }];
      });
    });
  }

  isHidden(line) {
    return this.hidden.has(line.group) || this.hidden.has(line.kind);
  }

  draw() {
    this.drawn = this.lines();
    this.plot?.destroy();
    const visible = this.drawn.filter((line) => !this.isHidden(line));
    const columns = visible.flatMap((line) =>
      (line.several ? [line.mean, line.high, line.low] : [line.mean]).map((column) => [line.x, column]),
    );
    const joined = columns.length ? uPlot.join(columns) : [[0, 1]];
    this.visible = visible;
    const hooks = {
      draw: [() => this.plot && this.describe()],
      setCursor: [(plot) => this.read(plot.cursor.left >= 0 ? plot.posToVal(plot.cursor.left, 'x') : null)],
    };
    const options = plotOptions(visible, METRICS[this.metric], this.axis, this.several);
    this.plot = new uPlot({ ...options, ...this.size(), hooks }, joined, this.box);
    this.plot.root.setAttribute('aria-hidden', 'true');
    this.meaning.textContent = METRICS[this.metric].meaning ?? '';
    this.drawNames();
    this.fillTable();
    this.read(null);
  }

  /** What a screen reader says about the picture. It has the part of the axis that is shown. */
  describe() {
    const { min, max } = this.plot.scales.x;
    const what = `${METRICS[this.metric].title} against ${AXES[this.axis]} from ${compact(min)} to ${compact(max)}`;
    this.box.setAttribute('aria-label', `${what}, ${counted(this.visible.length, 'line')}. The values are in the table below.`);
  }

  size() {
    const width = Math.max(240, this.box.clientWidth);
    return { width, height: Math.round(Math.min(460, Math.max(260, width * 0.5))) };
  }

  resize() {
    if (this.plot && this.plot.width !== this.size().width) this.plot.setSize(this.size());
  }

  /** A button for each group, and one for each kind of line. */
  drawNames() {
    this.readouts = [];
    const kinds = [...new Set(this.drawn.map((line) => line.kind))];
    const chips = kinds.map((kind) =>
      this.chip(
        kind,
        kind,
        this.drawn.filter((line) => line.kind === kind),
        this.several,
      ),
    );
    const groups = this.several ? this.data.runs.map((run) => [run, this.drawn.filter((line) => line.group === run.letter)]) : [];
    const own = groups.filter(([, lines]) => lines.length).map(([run, lines]) => this.chip(run.letter, run.name, lines, false));
    this.names.replaceChildren(...own, ...chips);
  }

  /** A button that hides `lines`. It shows the value of the first one that is visible, unless it is `plain`. */
  chip(key, name, lines, plain) {
    const value = element('span', { class: 'value' });
    const line = lines.find((each) => !this.isHidden(each));
    if (line && !plain) this.readouts.push([line, value]);
    const sample = plain ? { ...lines[0], colour: 'var(--muted)' } : (line ?? lines[0]);
    const toggle = () => {
      if (!this.hidden.delete(key)) this.hidden.add(key);
      this.draw();
      [...this.names.children].find((chip) => chip.dataset.key === key)?.focus();
    };
    const made = element(
      'button',
      { type: 'button', class: 'chip', 'aria-pressed': String(!this.hidden.has(key)), onclick: toggle },
      swatch(sample),
      name,
      value,
    );
    made.dataset.key = key;
    return made;
  }

  /** Shows the values at the point that is nearest to `x`, or the last values. A value of another point names its place. */
  read(x) {
    this.at = x;
    const [places] = this.plot.data;
    const place = x === null ? null : places[nearest(places, x)];
    for (const [{ exact }, node] of this.readouts) {
      const i = place === null ? exact.x.length - 1 : nearest(exact.x, place);
      const elsewhere = place === null || exact.x[i] === place ? '' : ` at ${compact(exact.x[i])}`;
      node.textContent = ` ${shortValue(exact.mean[i], this.metric)}${elsewhere}`;
    }
    const unit = this.axis === 'step' ? 'step' : this.axis === 'epoch' ? 'epoch' : 'second';
    this.position.textContent = place === null ? 'At the end:' : `At ${unit} ${compact(place)}:`;
  }

  zoomOut() {
    this.plot.setData(this.plot.data, true);
  }

  /** Shows a part of the picture that is `factor` times as wide, around the position of the reader. */
  zoom(factor) {
    const { min, max } = this.plot.scales.x;
    const [first, last] = this.ends();
    const width = Math.min(last - first, factor * (max - min));
    const middle = this.at ?? (min + max) / 2;
    const low = Math.min(last - width, Math.max(first, middle - width / 2));
    this.plot.setScale('x', { min: low, max: low + width });
  }

  ends() {
    const [x] = this.plot.data;
    return [x[0], x.at(-1)];
  }

  key(event) {
    const direction = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const zoom = { '+': 0.5, '=': 0.5, '-': 2 }[event.key];
    if (zoom) this.zoom(zoom);
    else if (event.key === '0') this.zoomOut();
    else if (direction && event.shiftKey) this.move(direction);
    else if (direction) this.step(direction);
    else return;
    event.preventDefault();
  }

  move(direction) {
    const { min, max } = this.plot.scales.x;
    const [first, last] = this.ends();
    const by = direction > 0 ? Math.min((max - min) / 4, last - max) : Math.max((min - max) / 4, first - min);
    this.plot.setScale('x', { min: min + by, max: max + by });
  }

  /** Moves the cursor by one point. */
  step(direction) {
    const [x] = this.plot.data;
    const start = this.at === null ? (direction > 0 ? -1 : x.length) : nearest(x, this.at);
    const i = Math.min(x.length - 1, Math.max(0, start + direction));
    this.plot.setCursor({ left: this.plot.valToPos(x[i], 'x'), top: 10 });
    this.read(x[i]);
  }

  fillTable() {
    if (!this.opened?.open) return;
    const lines = this.visible.filter((line) => !line.faint);
    const xs = [...new Set(lines.flatMap((line) => line.exact.x))].sort((a, b) => a - b);
    const every = Math.ceil(xs.length / MAX_ROWS);
    const shown = xs.filter((_, i) => (xs.length - 1 - i) % every === 0);
    const columns = [AXES[this.axis], ...lines.map((line) => line.name)].map((title) => ({ title, number: true }));
    const rows = shown.map((x) => [String(Number(x.toPrecision(5))), ...lines.map((line) => cellAt(line, x))]);
    this.values.replaceChildren(table('The values of the curves', columns, rows));
  }
}

function cellAt({ exact }, x) {
  const i = exact.x.indexOf(x);
  return i < 0 ? '' : String(Number(exact.mean[i].toPrecision(5)));
}

function swatch(line) {
  const node = element('span', { class: 'swatch', 'aria-hidden': 'true' });
  node.style.borderTopColor = line.colour;
  node.style.borderTopStyle = line.dash.length ? 'dashed' : 'solid';
  return node;
}

function shortValue(value, metric) {
  if (metric === 'accuracy' || metric === 'error') return value.toFixed(2);
  return value !== 0 && value < 1e-3 ? value.toExponential(1) : String(Number(value.toPrecision(4)));
}
// --- mistakes.mjs
// A gallery of mistakes, the worst first. Class maps show which parts of the image spoke for the digit and for the answer.


const FIRST = 12;

function mistakesSection(tested, images) {
  if (!tested.mistakes.length) return section('mistakes', 'Mistakes', `The network makes no mistake on ${tested.measured_on}.`);
  const maps = mapsOf(tested);
  const gallery = element('div', { class: 'gallery' });
  const more = element('button', { type: 'button' });
  let shown = 0;
  const show = (count) => {
    const next = tested.mistakes.slice(shown, count);
    gallery.append(...next.map((mistake, i) => card(mistake, shown + i, images, maps)));
    shown += next.length;
    more.hidden = shown >= tested.mistakes.length;
    more.textContent = `Show all ${thousands(tested.mistakes.length)}`;
  };
  more.addEventListener('click', () => {
    const first = shown;
    show(tested.mistakes.length);
    gallery.children[first].setAttribute('tabindex', '-1');
    gallery.children[first].focus();
  });
  show(FIRST);
  return section('mistakes', 'Mistakes', lead(tested, maps), gallery, element('p', {}, more));
}

function lead(tested, maps) {
  const first = `${counted(tested.mistakes_in_all, 'mistake')} on ${tested.measured_on}. The worst come first: those where the network gave the digit the lowest probability.`;
  if (!maps) return first;
  const kind = tested.maps.exact
    ? 'Class maps: orange speaks for the class, blue against it, and the mean of the map is the logit.'
    : 'Class maps by Grad-CAM: orange parts speak for the class.';
  return `${first} ${kind}`;
}

/** The class maps of mistake `i`: of the digit, and of the answer. */
function mapsOf(tested) {
  if (!tested.maps) return null;
  const { width, height, start, cell } = tested.maps;
  const bytes = bytesOf(tested.maps.values);
  const values = new Int8Array(bytes.buffer);
  const size = width * height;
  return {
    count: values.length / (2 * size),
    of: (i, which) => ({
      width,
      height,
      start,
      cell,
      values: values.subarray((2 * i + which) * size, (2 * i + which + 1) * size),
    }),
  };
}

function card(mistake, i, images, maps) {
  const pixels = images.pixels(mistake.image);
  const number = images.index[mistake.image];
  const { true: digit, predicted } = mistake;
  const pictures = [[digitCanvas(pixels, `Test image ${number}, a ${digit}`), `image ${number}`]];
  if (maps && i < maps.count) {
    pictures.push([
      overlayCanvas(pixels, maps.of(i, 0), `What speaks for ${digit}`),
      `for ${digit}: ${share(mistake.true_confidence)}`,
    ]);
    pictures.push([
      overlayCanvas(pixels, maps.of(i, 1), `What speaks for ${predicted}`),
      `for ${predicted}: ${share(mistake.predicted_confidence)}`,
    ]);
  }
  const title = element('h3', {}, String(digit), element('span', { class: 'taken' }, ' taken for '), String(predicted));
  const figures = pictures.map(([canvas, text]) => element('figure', {}, canvas, element('figcaption', {}, text)));
  return element(
    'article',
    { class: 'mistake', 'aria-label': `Test image ${number}: ${digit} taken for ${predicted}` },
    title,
    element('div', { class: 'triple' }, ...figures),
  );
}
// --- parameters.mjs
// Accuracy against parameters: the runs of the page, and the published networks.


const MAX_LABEL = 24;
const DECADES = [1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];

/** The section. The published points are of MNIST, so a page of other data has none. */
function parametersSection(data) {
  const { compared } = data.verdict;
  const own = compared.map((i) => ({ ...data.runs[i], place: i }));
  const published = own.every((run) => /MNIST's/.test(run.images)) ? data.published : [];
  const lead = published.length
    ? 'Filled points are the runs of this page, after the last epoch. Hollow points are the figures of the authors, of their best epoch or of an epoch that they do not name.'
    : 'The runs of this page, after the last epoch.';
  const others = own.length < data.runs.length ? ` Only runs on ${own[0].images} are here.` : '';
  return section(
    'parameters',
    'Accuracy against parameters',
    `${lead}${others}`,
    scatter(own, published),
    valueTable(own, published),
  );
}

/** The picture, drawn again where the screen becomes narrow or wide: a text that is scaled down cannot be read. */
function scatter(runs, published) {
  const figure = element('figure', {});
  const narrow = matchMedia('(max-width: 36rem)');
  const draw = () => figure.replaceChildren(scatterOf(runs, published, narrow.matches ? 420 : 840));
  narrow.addEventListener('change', draw);
  draw();
  return figure;
}

function scatterOf(runs, published, width) {
  const box = { left: 56, right: width - 20, top: 34, bottom: 380 };
  const counts = [...runs, ...published].map((point) => point.parameters);
  const values = [
    ...runs.flatMap((run) => [run.final, run.low ?? run.final, run.high ?? run.final]),
    ...published.map((point) => point.accuracy),
  ];
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const margin = Math.max(0.1, 0.08 * (high - low));
  const range = [low - margin, Math.min(100, high + margin)];
  const domain = [Math.min(...counts) / 1.5, Math.max(...counts) * 1.5];
  const x = logScale(domain, [box.left, box.right]);
  const y = linearScale(range, [box.bottom, box.top]);
  const xTicks = logTicks(domain);
  const yTicks = ticks(range[0], range[1], 6);
  const labels = placedLabels(
    [
      ...[...runs]
        .sort((a, b) => b.final - a.final)
        .map((run) => ({ x: x(run.parameters), y: y(run.final), text: run.name, own: true })),
      ...published.map((point) => ({ x: x(point.parameters), y: y(point.accuracy), text: point.name, own: false })),
    ],
    box,
  );
  const picture = svg(
    'svg',
    {
      viewBox: `0 0 ${width} 430`,
      class: 'chart',
      role: 'img',
      'aria-label': 'Test accuracy against the number of parameters. The values are in the table below.',
    },
    axes(
      box,
      { scale: x, ticks: xTicks, text: compact, label: 'parameters (logarithmic)' },
      { scale: y, ticks: yTicks, text: (tick) => String(tick), label: 'test accuracy, %' },
    ),
    ...published.map((point) => publishedMark(point, x(point.parameters), y(point.accuracy))),
    ...runs.map((run) => runMark(run, x(run.parameters), y)),
    ...labels.map((label) => svg('text', { x: label.left, y: label.base, class: label.own ? 'name own' : 'name' }, label.text)),
  );
  return picture;
}

/** Round numbers on a logarithmic axis. A narrow one has no 1, 3, 10 and so on, and has other round numbers. */
function logTicks([low, high]) {
  const found = DECADES.flatMap((decade) => [decade, 3 * decade]).filter((tick) => tick >= low && tick <= high);
  return found.length > 1 ? found : ticks(low, high, 4);
}

/**
 * Texts beside their points: right, left, above or below. A text that would cover a point or another text is left out: the table has
 * all names. The first point always has its text: it covers as few points as
 * possible.
 */
function placedLabels(points, box) {
  const taken = points.map((point) => ({ left: point.x - 7, right: point.x + 7, top: point.y - 7, bottom: point.y + 7 }));
  return points.flatMap((point, i) => {
    const text = point.text.length > MAX_LABEL ? `${point.text.slice(0, MAX_LABEL - 1)}…` : point.text;
    const width = (point.own ? 8 : 7) * text.length;
    const places = placesAround(point, width, box).map(([left, base]) => ({
      left,
      base,
      right: left + width,
      top: base - 10,
      bottom: base + 3,
    }));
    const covered = places.map((place) => taken.filter((other) => overlap(place, other)).length);
    const least = Math.min(...covered);
    if (least > 0 && i > 0) return [];
    const chosen = places[covered.indexOf(least)];
    taken.push(chosen);
    return [{ ...point, text, left: chosen.left, base: chosen.base }];
  });
}

/** The places of a text beside a point that are inside of the picture: [left, base]. */
function placesAround({ x, y }, width, box) {
  const middle = Math.min(box.right + 20 - width, Math.max(box.left, x - width / 2));
  const sides = [x + 11, x - 11 - width].filter((left) => left >= box.left && left + width <= box.right + 20);
  const places = [
    ...[4, -6, 14].flatMap((shift) => sides.map((left) => [left, y + shift])),
    ...[-12, 20].map((shift) => [middle, y + shift]),
  ];
  return places.filter(([, base]) => base - 10 >= box.top && base + 3 <= box.bottom);
}

function overlap(a, b) {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}

function publishedMark(point, x, y) {
  return svg(
    'g',
    { class: 'published' },
    svg('title', {}, `${point.name}, published: ${percent(point.accuracy)} %, ${thousands(point.parameters)} parameters`),
    svg('rect', { x: x - 4, y: y - 4, width: 8, height: 8, transform: `rotate(45 ${x} ${y})` }),
  );
}

function runMark(run, x, y) {
  const title = svg(
    'title',
    {},
    `${run.name}: ${percent(run.final)} %, ${thousands(run.parameters)} parameters, ${run.seeds.length} seed${run.seeds.length === 1 ? '' : 's'}`,
  );
  const interval = run.low === null ? null : svg('line', { x1: x, x2: x, y1: y(run.low), y2: y(run.high), class: 'interval' });
  const circle = svg('circle', { cx: x, cy: y(run.final), r: 6 });
  const mark = svg('g', { class: 'own' }, title, interval, circle);
  mark.style.color = seriesColour(run.place);
  return mark;
}

function valueTable(runs, published) {
  const columns = [
    { title: 'Network' },
    { title: 'Parameters', number: true },
    { title: 'Test accuracy, %', number: true },
    { title: 'Source' },
  ];
  const rows = [
    ...runs.map((run) => [
      run.name,
      thousands(run.parameters),
      percent(run.final),
      `this page, final, ${run.seeds.length === 1 ? '1 seed' : `mean of ${run.seeds.length} seeds`}`,
    ]),
    ...published.map((point) => [point.name, thousands(point.parameters), percent(point.accuracy), 'published by the authors']),
  ];
  return details('The values as a table', table('Accuracy against parameters', columns, rows));
}
// --- runs_table.mjs
// The table of runs, sorted by a click on the head of a column. And where their configs differ.


const MAX_CELL = 60;

/** Columns: title, the value to sort by, and the text. */
const COLUMNS = [
  { title: 'Name', value: (run) => run.name, text: (run) => run.name },
  { title: 'Test images', value: (run) => run.images, text: (run) => run.images, mixed: true },
  { title: 'Parameters', value: (run) => run.parameters, text: (run) => thousands(run.parameters) },
  { title: 'Multiply-adds', value: (run) => run.multiply_adds, text: (run) => thousands(run.multiply_adds) },
  { title: 'Epochs', value: (run) => run.epochs, text: (run) => String(Number(run.epochs.toFixed(1))) },
  { title: 'Time', value: (run) => run.seconds, text: (run) => duration(run.seconds) },
  { title: 'Final test accuracy, %', value: (run) => run.final, text: (run) => percent(run.final) },
  {
    title: '95 % interval',
    value: (run) => run.low,
    text: (run) => (run.low === null ? '' : `${percent(run.low)} to ${percent(run.high)}`),
  },
  { title: 'Best epoch', value: (run) => run.best, text: (run) => percent(run.best) },
  { title: 'Mean of last 5', value: (run) => run.mean_last_5, text: (run) => percent(run.mean_last_5) },
  { title: 'Train (with dropout and augmentation) minus test', value: (run) => run.gap, text: (run) => signed(run.gap) },
  { title: 'Seeds', value: (run) => run.seeds.length, text: (run) => String(run.seeds.length) },
  { title: 'Budget', value: (run) => (run.budget ? run.budget.met / run.seeds.length : null), text: (run) => budgetText(run) },
];

/** The runs in the order of a column. Runs without a value come last in both directions. */
function sortedRuns(runs, column, descending) {
  const sign = descending ? -1 : 1;
  return [...runs].sort((a, b) => {
    const [x, y] = [column.value(a), column.value(b)];
    if (x === null || y === null) return (x === null) - (y === null);
    return sign * (typeof x === 'string' ? x.localeCompare(y, 'en', { numeric: true }) : x - y);
  });
}

function budgetText(run) {
  if (!run.budget) return '';
  const { met, judged } = run.budget;
  if (run.seeds.length === 1) return met ? 'met' : judged ? 'missed' : 'not judged';
  return `${met} of ${run.seeds.length} met`;
}

function runsSection(data) {
  const images = [...new Set(data.runs.map((run) => run.images))].join(' and ');
  const row = data.runs.some((run) => run.seeds.length > 1) ? 'the mean of runs that differ in their seed only' : 'a run';
  const lead = [`Each row is ${row}. Test accuracy in % on ${images}.`, howTo('Click a column title to sort the table.')];
  return section('runs', 'Runs', lead, sortableTable(data), differences(data));
}

function sortableTable(data) {
  const differ = (column) => new Set(data.runs.map((run) => column.value(run))).size > 1;
  const columns = COLUMNS.filter((column) =>
    column.mixed ? differ(column) : data.runs.some((run) => column.value(run) !== null),
  );
  const places = new Map(data.runs.map((run, i) => [run, i]));
  const body = element('tbody', {});
  const heads = columns.map((column, i) => {
    const button = element(
      'button',
      { type: 'button', class: 'sort', onclick: () => sort(i) },
      column.title,
      element('span', { class: 'arrow', 'aria-hidden': 'true' }),
    );
    return element('th', { scope: 'col', class: i ? 'number' : null }, button);
  });
  let current = -1;
  let descending = false;
  const fill = (runs) => body.replaceChildren(...runs.map((run) => row(run, places.get(run), columns)));
  const sort = (i) => {
    descending = i === current ? !descending : i > 0; // the largest number first, and A first
    current = i;
    heads.forEach((head, j) =>
      j === i ? head.setAttribute('aria-sort', descending ? 'descending' : 'ascending') : head.removeAttribute('aria-sort'),
    );
    fill(sortedRuns(data.runs, columns[i], descending));
  };
  fill(data.runs);
  const caption = element('caption', { class: 'hidden' }, 'Runs');
  return scrollable(
    'Runs',
    element('table', { class: 'runs' }, caption, element('thead', {}, element('tr', {}, ...heads)), body),
  );
}

function row(run, place, columns) {
  const dot = element('span', { class: 'dot', 'aria-hidden': 'true' });
  dot.style.backgroundColor = seriesColour(place);
  const cells = columns.slice(1).map((column) => element('td', { class: 'number' }, column.text(run)));
  return element('tr', {}, element('th', { scope: 'row' }, dot, `${run.letter} · ${run.name}`), ...cells);
}

/** A long value opens with a click. */
function folded(text) {
  return text.length <= MAX_CELL ? text : details(`${text.slice(0, MAX_CELL / 2)}…`, text);
}

function differences(data) {
  if (data.runs.length < 2) return null;
  const title = element('h3', {}, 'Where the configs differ');
  if (!data.differences.length) return [title, element('p', {}, 'The configs do not differ.')];
  const columns = ['Key', ...data.runs.map((run) => run.letter)].map((text) => ({ title: text }));
  const rows = data.differences.map(([key, cells]) => [element('code', {}, key), ...cells.map(folded)]);
  const names = data.runs.map((run) => `${run.letter} is ${run.name}`).join(', ');
  return [
    title,
    element('p', { class: 'hint' }, `${counted(rows.length, 'key')}. ${names}.`),
    table('Where the configs differ', columns, rows, { class: 'differences' }),
  ];
}
// --- theme.mjs
// Light or dark: as the system has it, until the reader changes it.


/** A button that changes the theme. Then `changed()` is called, because canvases must be drawn again. */
function themeButton(changed) {
  const system = window.matchMedia('(prefers-color-scheme: dark)');
  const root = document.documentElement;
  const isDark = () => (root.dataset.theme ? root.dataset.theme === 'dark' : system.matches);
  const button = element('button', { type: 'button', class: 'quiet', id: 'theme' });
  const show = () => {
    button.textContent = isDark() ? 'Light theme' : 'Dark theme';
  };
  button.addEventListener('click', () => {
    root.dataset.theme = isDark() ? 'light' : 'dark';
    show();
    changed();
  });
  system.addEventListener('change', () => {
    show();
    changed();
  });
  window.matchMedia('print').addEventListener('change', changed); // paper is always light
  show();
  return button;
}
// --- verdict.mjs
// What comes first: what was trained, how good it is, and whether it keeps its budget.


function verdictSection(data) {
  const best = data.runs[data.verdict.best];
  const several = data.runs.length > 1;
  return element(
    'section',
    { id: 'verdict', 'aria-label': 'Summary' },
    element('p', { class: 'figure' }, percent(best.final), element('span', { class: 'unit' }, ' %')),
    element('p', { class: 'headline' }, headline(data, best)),
    several
      ? element(
          'p',
          { class: 'best' },
          `${data.runs.some((run) => run.seeds.length > 1) ? 'Highest mean' : 'Highest'}: ${best.letter} · ${best.name}`,
        )
      : null,
    facts(best),
    several ? answers(data.verdict.answers) : null,
    data.verdict.checks.length ? budget(data.verdict.checks, several ? `Budget of ${best.name}` : 'Budget') : null,
    notes(data, best, several),
  );
}

/** The sentence after the figure. */
function headline(data, best) {
  const compared = data.verdict.compared.map((i) => data.runs[i]);
  const kind = compared.some((run) => run.seeds.length > 1) ? 'groups of runs' : 'runs';
  const others = compared.length < data.runs.length ? ' on these images' : '';
  const who = compared.length > 1 ? ` by the best of ${compared.length} ${kind}${others}` : '';
  const mean = best.seeds.length > 1 ? `, as the mean of ${best.seeds.length} seeds` : '';
  return `of ${best.images} are recognised${who} after the last epoch${mean}, with ${thousands(best.parameters)} parameters.`;
}

function facts(run) {
  const items = [
    ['parameters', thousands(run.parameters)],
    ['multiply-adds per image', thousands(run.multiply_adds)],
    ['epochs', String(run.epochs)],
    ['time', duration(run.seconds)],
    ['train (with dropout and augmentation) minus test', signed(run.gap)],
  ];
  if (run.low !== null) items.unshift(['95 % interval over seeds', `${percent(run.low)} to ${percent(run.high)}`]);
  return element(
    'dl',
    { class: 'facts' },
    ...items.map(([name, value]) => element('div', {}, element('dt', {}, name), element('dd', {}, value))),
  );
}

function budget(checks, name) {
  const met = checks.filter((check) => check.met === true).length;
  const result = checks.some((check) => check.met === false) ? 'missed' : 'not judged';
  const part = `${met} of ${counted(checks.length, 'requirement')} ${met === 1 ? 'is' : 'are'} met`;
  const title = met === checks.length ? `${name} met` : `${name} ${result}: ${part}`;
  const items = checks.map((check) => {
    const [sign, word] = { true: ['✓', 'met'], false: ['✗', 'missed'] }[check.met] ?? ['–', 'not judged'];
    const note = check.note ? ` (${check.note})` : '';
    return element(
      'li',
      { class: word.replace(' ', '-') },
      element('span', { class: 'sign', 'aria-hidden': 'true' }, sign),
      element('span', { class: 'requirement' }, check.requirement),
      element('span', { class: 'reached' }, `${check.value}: ${word}${note}`),
    );
  });
  return element('div', { class: 'budget' }, element('h2', {}, title), element('ul', {}, ...items));
}

function answers(sentences) {
  return element(
    'div',
    { class: 'answers' },
    element('h2', {}, 'Which is better?'),
    ...sentences.map((sentence) => element('p', {}, sentence.replace(/^Which is better\? /, ''))),
  );
}

function notes(data, best, several) {
  const lines = several ? data.verdict.notes : [];
  const epochs = [...new Set(best.best_epochs)];
  if (!several) {
    const when = epochs.length === 1 ? ` (epoch ${epochs[0]})` : '';
    lines.unshift(
      `The best epoch had ${percent(best.best)} %${when}. It is chosen with the test images, so its accuracy is too high.`,
    );
    lines.unshift(`Trained on ${best.trained_on}.`);
  }
  return element('ul', { class: 'notes' }, ...lines.map((line) => element('li', {}, line)));
}
// --- main.mjs
// Builds the page from the data in it.


/** Fills the document. */
function main() {
  const data = JSON.parse(document.getElementById('report-data').textContent);
  const images = data.images && new TestImages(data.images);
  const network = data.network && !data.network.unsupported ? readNetwork(data.network) : null;
  const canvas = canvasSection(data, network, images);
  const curves = curvesSection(data);
  const parts = [
    verdictSection(data),
    canvas?.node,
    curves?.node,
    data.runs.length > 1 ? runsSection(data) : null,
    new NetworkView(data, network, images).root,
    parametersSection(data),
    commandsSection(data),
  ];
  document.getElementById('main').replaceChildren(...parts.filter(Boolean));
  const redraw = () => {
    canvas?.redraw?.();
    curves?.redraw();
    repaintImages();
  };
  document.getElementById('top').append(...head(data, redraw));
  document.getElementById('foot').append(...foot(data));
}

function head(data, redraw) {
  const sections = [...document.querySelectorAll('main section[id]')].filter((part) => part.id !== 'verdict');
  const links = sections.map((part) =>
    element('li', {}, element('a', { href: `#${part.id}` }, part.querySelector('h2').textContent)),
  );
  const title = element('h1', {}, data.title);
  return [
    element(
      'div',
      { class: 'bar-top' },
      element('span', { class: 'made' }, `mnist-lite report, ${data.made}`),
      themeButton(redraw),
    ),
    title,
    element('nav', { 'aria-label': 'Sections' }, element('ul', {}, ...links)),
  ];
}

function canvasSection(data, network, images) {
  if (!data.network) return null;
  if (!network) return { node: section('canvas', 'Draw a digit', data.network.unsupported) };
  const root = element('div', {});
  const lead =
    'The network reads what you draw, here in this page. The drawing is scaled, and placed by its centre of mass, as the digits of MNIST were.';
  const node = section('canvas', 'Draw a digit', lead, root);
  return { node, ...mountCanvas(root, network, images) };
}

/** The sections about one network. With several networks, the reader chooses one. */
class NetworkView {
  constructor(data, network, images) {
    Object.assign(this, { data, network, images });
    this.group = data.verdict.best;
    this.parts = element('div', {});
    this.root = element('div', { class: 'network' }, data.runs.length > 1 ? this.picker() : null, this.parts);
    this.draw();
  }

  picker() {
    const options = this.data.runs.map((run, i) =>
      element('option', { value: String(i), selected: i === this.group }, `${run.letter} · ${run.name}`),
    );
    const choose = (event) => {
      this.group = Number(event.target.value);
      this.draw();
    };
    return element(
      'p',
      { class: 'picker' },
      element('label', {}, 'One network in detail: ', element('select', { onchange: choose }, ...options)),
    );
  }

  /** The links of the head still lead to these sections. */
  missing() {
    const { reason } = this.data.untested.find((each) => each.group === this.group);
    return [
      ['confusion', 'Confusion'],
      ['mistakes', 'Mistakes'],
      ['calibration', 'Calibration'],
    ].map(([id, title]) => section(id, title, `Not measured: ${reason}.`));
  }

  draw() {
    const run = this.data.runs[this.group];
    const tested = this.data.tested.find((each) => each.group === this.group);
    const seeds = run.seeds.length;
    const parts = [
      seeds > 1 && tested
        ? element(
            'p',
            { class: 'hint' },
            `Confusion, Mistakes and Calibration are those of seed ${tested.seed}, the first of the ${seeds} runs.`,
          )
        : null,
      architectureSection(run, this.network, this.images),
    ];
    if (tested)
      parts.push(confusionSection(tested, this.images), mistakesSection(tested, this.images), calibrationSection(tested));
    else if (this.data.tested.length) parts.push(...this.missing());
    this.parts.replaceChildren(...parts.filter(Boolean));
  }
}

function foot(data) {
  const left = data.left_out.map((line) => element('li', {}, line));
  const made = 'This file has everything inside. It loads nothing from the network and sends nothing.';
  return [
    left.length
      ? element(
          'section',
          { 'aria-labelledby': 'left-out' },
          element('h2', { id: 'left-out' }, 'Not in this page'),
          element('ul', {}, ...left),
        )
      : null,
    element('p', { class: 'hint' }, made),
  ].filter(Boolean);
}
main();
})();
