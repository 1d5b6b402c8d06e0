// See flight_zoom.h.
#include "results/html/flight_zoom.h"

#include <stdio.h>

enum { LEAST_UNIT_NS = 10000, MOST_UNITS = 20000000 };

// Bits on their way into letters, three bytes at a time.
typedef struct letters {
    wf_text *out;
    uint8_t byte[3];
    int n;
} letters;

static void letters_flush(letters *l)
{
    static const char of[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = (uint32_t)l->byte[0] << 16 | (uint32_t)l->byte[1] << 8 | l->byte[2];
    char text[4] = {of[bits >> 18], of[bits >> 12 & 63], of[bits >> 6 & 63], of[bits & 63]};
    if (l->n == 0) return;
    for (int i = l->n + 1; i < 4; i++)
        text[i] = '=';
    wf_text_add(l->out, text, 4);
    *l = (letters){.out = l->out};
}

static void byte_put(letters *l, uint8_t byte)
{
    l->byte[l->n++] = byte;
    if (l->n == 3) letters_flush(l);
}

static void number_put(letters *l, uint64_t value)
{
    while (value >= 128) {
        byte_put(l, (uint8_t)(value & 127) | 128);
        value >>= 7;
    }
    byte_put(l, (uint8_t)value);
}

static void part_put(letters *l, int64_t from, int64_t to, int64_t unit_ns)
{
    bool happened = from >= 0 && to >= from;
    number_put(l, happened ? 1 + (uint64_t)((to - from) / unit_ns) : 0);
}

static void rows_put(const wf_html_output *o, size_t every, int64_t unit_ns, wf_text *out)
{
    letters l = {.out = out};
    int64_t last = 0; // in units: what is lost by rounding does not add up
    for (size_t i = 0; i < o->n_rows; i += every) {
        const wf_html_row *r = &o->rows[i];
        int64_t arrival = r->arrival_ns > 0 ? r->arrival_ns / unit_ns : 0;
        number_put(&l, 2 * (uint64_t)(arrival - last) + !r->done);
        part_put(&l, r->arrival_ns, r->admitted_ns, unit_ns);
        part_put(&l, r->admitted_ns, r->first_ns, unit_ns);
        part_put(&l, r->first_ns, r->finish_ns, unit_ns);
        last = arrival;
    }
    letters_flush(&l);
}

wf_status wf_flight_zoom_put(const wf_html_output *o, wf_text *out)
{
    size_t every = (o->n_rows + WF_FLIGHT_ZOOM_MOST - 1) / WF_FLIGHT_ZOOM_MOST;
    int64_t unit_ns = o->length_ns / MOST_UNITS;
    if (o->n_rows == 0) return WF_OK;
    if (unit_ns < LEAST_UNIT_NS) unit_ns = LEAST_UNIT_NS;
    wf_text_printf(out,
                   "<figure class=\"wide zoom\" hidden=\"hidden\" data-unit=\"%lld\" "
                   "data-length=\"%lld\" data-every=\"%zu\">\n<figcaption><b>Requests in "
                   "flight</b> <span class=\"key wait\">waiting</span> <span class=\"key "
                   "c2\">prompt</span> <span class=\"key c1\">generating</span> <span "
                   "class=\"said\">Turn the wheel or pinch to zoom, drag to move, press twice for "
                   "all of it.</span></figcaption>\n<canvas tabindex=\"0\" role=\"img\" "
                   "aria-label=\"Requests in flight\"></canvas>\n<p class=\"note\"></p>\n"
                   "<script type=\"text/plain\">",
                   (long long)unit_ns, (long long)(o->length_ns / unit_ns), every);
    rows_put(o, every, unit_ns, out);
    wf_text_puts(out, "</script>\n</figure>\n");
    return out->st;
}

// i: requests (rows of the picture), t: units of time. v = [t0, t1, i0, i1] is what is seen.
static const char script[] =
    "document.querySelectorAll('.zoom').forEach(function(fig){\n"
    "var c=fig.querySelector('canvas'),g=c.getContext('2d'),note=fig.querySelector('.note'),\n"
    "bytes=atob(fig.querySelector('script').textContent),at=0,unit=+fig.dataset.unit,\n"
    "every=+fig.dataset.every,rows=[],sum=0;\n"
    "function num(){var v=0,m=1,b;do{b=bytes.charCodeAt(at++);v+=(b&127)*m;m*=128}while(b>127);"
    "return v}\n"
    "while(at<bytes.length){var a=num();sum+=Math.floor(a/2);"
    "rows.push([sum,num(),num(),num(),a%2])}\n"
    "var T=Math.max(+fig.dataset.length,1),N=rows.length,v=[0,T,0,N],hover=null,W=0,H=0;\n"
    "function secs(u){return u*unit/1e9}\n"
    "function words(s){return s<1e-3?(s*1e6).toFixed(0)+' \\u00b5s':s<1?(s*1e3).toPrecision(3)+"
    "' ms':s.toPrecision(4)+' s'}\n"
    "function x(t){return (t-v[0])/(v[1]-v[0])*W}\n"
    "function step(span){var r=span/6,p=Math.pow(10,Math.floor(Math.log10(r))),k=r/p;"
    "return p*(k<=1?1:k<=2?2:k<=5?5:10)}\n"
    "function draw(){\n"
    "var r=window.devicePixelRatio||1,css=getComputedStyle(fig),"
    "col=function(n){return css.getPropertyValue('--'+n).trim()};\n"
    "W=c.clientWidth;H=c.clientHeight;c.width=W*r;c.height=H*r;g.setTransform(r,0,0,r,0,0);\n"
    "g.clearRect(0,0,W,H);g.font='11px system-ui,sans-serif';\n"
    "var h=H-18,n=v[3]-v[2],px=h/n,each=Math.max(1,n/h),s=step(secs(v[1]-v[0]));\n"
    "g.textAlign='center';\n"
    "for(var k=Math.ceil(secs(v[0])/s);k*s<=secs(v[1]);k++){var X=x(k*s*1e9/unit);"
    "g.fillStyle=col('grid');g.fillRect(X,0,1,h);g.fillStyle=col('soft');"
    "g.fillText(+(k*s).toPrecision(10)+' s',X,H-4)}\n"
    "var inks=[col('wait'),col('c2'),col('c1')],bad=col('bad');\n"
    "for(var f=v[2];f<v[3];f+=each){var i=Math.floor(f),q=rows[i];if(!q)continue;\n"
    "var y=(i-v[2])*px,t=q[0],b=Math.max(px*0.75,0.75);\n"
    "for(var p=1;p<4;p++){if(!q[p])break;var e=t+q[p]-1,X0=x(t),X1=x(e);t=e;\n"
    "if(X1<0||X0>W)continue;X0=Math.max(X0,0);X1=Math.min(X1,W);\n"
    "g.fillStyle=inks[p-1];g.fillRect(X0,y,Math.max(X1-X0,p==3?0.8:0),b)}\n"
    "if(q[4]){g.fillStyle=bad;g.fillRect(x(q[0])-1.5,y,3,Math.max(b,2))}}\n"
    "var o=hover!==null&&rows[hover];\n"
    "note.textContent=o?'Request '+(hover*every+1)+' by arrival, at '+words(secs(o[0]))+"
    "['waited','prompt','generating'].map(function(w,k){return o[k+1]?', '+w+' '+"
    "words(secs(o[k+1]-1)):''}).join('')+(o[4]?', failed':''):"
    "'A bar is a request, the earliest at the top'+(every>1?'; one of '+every+' is here':'')+"
    "(n>h?'; one of '+Math.round(each)+' is drawn':'')+'.'}\n"
    "function keep(){var w=v[1]-v[0],n=v[3]-v[2];w=Math.min(w,T);n=Math.min(n,N);"
    "v[0]=Math.max(0,Math.min(v[0],T-w));v[1]=v[0]+w;v[2]=Math.max(0,Math.min(v[2],N-n));"
    "v[3]=v[2]+n}\n"
    "function zoom(k,X,Y){var w=Math.max((v[1]-v[0])*k,20),n=Math.max((v[3]-v[2])*k,"
    "Math.min(4,N)),t=v[0]+(v[1]-v[0])*X/W,i=v[2]+(v[3]-v[2])*Y/H;\n"
    "v=[t-w*X/W,t+w*(1-X/W),i-n*Y/H,i+n*(1-Y/H)];keep();draw()}\n"
    "function move(dx,dy){var w=v[1]-v[0],n=v[3]-v[2];v[0]-=dx/W*w;v[1]-=dx/W*w;v[2]-=dy/H*n;"
    "v[3]-=dy/H*n;keep();draw()}\n"
    "function all(){v=[0,T,0,N];draw()}\n"
    "var held={},far=0;\n"
    "function place(e){var b=c.getBoundingClientRect();return[e.clientX-b.left,e.clientY-b.top]}\n"
    "c.addEventListener('wheel',function(e){e.preventDefault();var p=place(e);"
    "zoom(Math.exp(e.deltaY/400),p[0],p[1])},{passive:false});\n"
    "c.addEventListener('pointerdown',function(e){held[e.pointerId]=place(e);"
    "c.setPointerCapture(e.pointerId);far=0});\n"
    "c.addEventListener('pointermove',function(e){var p=place(e),was=held[e.pointerId],"
    "ids=Object.keys(held);\n"
    "if(!was){hover=Math.floor(v[2]+(v[3]-v[2])*p[1]/(H-18));draw();return}\n"
    "held[e.pointerId]=p;\n"
    "if(ids.length==1)move(p[0]-was[0],p[1]-was[1]);\n"
    "else{var a=held[ids[0]],b=held[ids[1]],d=Math.hypot(a[0]-b[0],a[1]-b[1]);"
    "if(far)zoom(far/d,(a[0]+b[0])/2,(a[1]+b[1])/2);far=d}});\n"
    "['pointerup','pointercancel'].forEach(function(n){c.addEventListener(n,function(e){"
    "delete held[e.pointerId];far=0})});\n"
    "c.addEventListener('pointerleave',function(){hover=null;draw()});\n"
    "c.addEventListener('dblclick',all);\n"
    "c.addEventListener('keydown',function(e){var k={'+':0.7,'=':0.7,'-':1.4}[e.key],"
    "m={ArrowLeft:[60,0],ArrowRight:[-60,0],ArrowUp:[0,60],ArrowDown:[0,-60]}[e.key];\n"
    "if(k)zoom(k,W/2,H/2);else if(m)move(m[0],m[1]);else if(e.key=='0')all();else return;"
    "e.preventDefault()});\n"
    "window.addEventListener('resize',draw);\n"
    "if(window.matchMedia)matchMedia('(prefers-color-scheme: dark)').addEventListener('change',"
    "draw);\n"
    "fig.previousElementSibling.classList.add('plain');fig.hidden=false;draw();\n"
    "});\n";

void wf_flight_zoom_script(wf_text *out)
{
    wf_text_printf(out, "<script>\n//<![CDATA[\n%s//]]>\n</script>\n", script);
}
