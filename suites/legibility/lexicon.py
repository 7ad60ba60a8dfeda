"""Common English words: what drawn pages say, and what a wrong reading may look plausible as.

A generative decoder that repairs text by guessing writes words, not noise. So a wrong reading that
is a word is told apart from one that is none; a word that is missing here counts as none.

Inflections are made by rule (stop: stops, stopped, stopping), of every word that is long enough:
`abouts` passes for a word, as it might with a reader in a hurry.
"""

from __future__ import annotations

DRAWN = frozenset(
    """
    able about above accept account across action active actual address admire adult advice affair
    afford afraid after again against agency agent agree ahead airport alarm album alive allow
    almost alone along already also always amount anchor ancient angle animal answer anyone apart
    apple april area argue armed around arrive arrow article artist aside asleep aspect asset
    attach attack attempt attend august author autumn average avoid awake award aware away back
    badge bakery balance ball banana band bank barrel base basic basket beach beans bear beauty
    became become bedroom before begin behind being believe bell belong below bench benefit beside
    better between beyond bicycle bigger bird birth bitter black blame blanket blend block blood
    blue board boat body bonus book border borrow both bottle bottom bowl branch brand brave bread
    break breath brick bridge brief bright bring broad broken brother brought brown brush bucket
    budget build built bundle burden bureau butter button buyer cabin cable cake call calm camera
    camp canal candle cannot capital captain carbon card care careful cargo carpet carry case
    castle catch cattle caught cause ceiling center central century certain chain chair chance
    change channel chapter charge chart cheap check cheese chest chicken chief child choice choose
    circle citizen city claim class clean clear clever client climb clock close cloth cloud coach
    coast coat coffee coin cold collect color column come comfort command common company compare
    concept concert confirm connect consider contact contain content contest control cook cool
    copper copy cost cotton could count country couple courage course court cousin cover craft
    crane crash cream create credit crew crime crisis cross crowd crown cruise culture cup curious
    current curve custom cycle daily damage dance danger dark date daughter dawn dead deal dear
    debate debt decade decide deep defend define degree delay deliver demand dense deny depend
    depth desert design desk detail device diary differ digital dinner direct dirty discuss dish
    distance divide doctor does dollar door double doubt down dozen draft drama draw dream dress
    drift drink drive drop during dust duty each eager early earth easily east easy edge edit
    effect effort eight either elect electric eleven else empire employ empty enable energy engine
    enjoy enough ensure enter entire entry equal equip error escape estate even evening event ever
    every exact exam example except exchange excuse exist exit expand expect expert explain express
    extend extra face fact factor factory fade fail faint fair faith fall false fame family famous
    fancy farm fast father fault favor fear feature federal feed feel feet fell fence festival
    fetch fever field fifteen fifth fifty fight figure fill film filter final finance find fine
    finger finish fire firm first fish five fixed flag flame flat flavor fleet flight float floor
    flour flower fluid focus fold follow food foot force foreign forest forget form formal format
    forty forward found four frame free freedom freight fresh friday friend from front fruit fuel
    full funny future gain gallery game garage garden gate gather gauge gave general gentle ghost
    giant gift girl give glad glass global goal goat gold golden gone good goods grace grade grain
    grand grant grass gravity great green grew grey ground group grow growth guard guess guest
    guide guitar habit hair half hammer hand handle happen happy harbor hard harvest have head
    health heard heart heat heavy height held hello help here hero high hill history hold hole
    holiday holy home honest honey hope horse hospital host hotel hour house human humor hundred
    hungry hunt hurry idea image impact import improve inch include income indeed index indoor
    industry inform injury insect inside instead intend invite iron island item jacket january
    jewel join joint journey judge juice july jump june junior jury just justice keen keep kept
    kettle keyboard kick kind king kitchen knee knife knock know label labor ladder lake lamp land
    lane large last late later laugh launch layer lead leader leaf league learn least leather leave
    left legal lemon lend length lesson letter level liberty library lift light like limit line
    linen list listen little live local lock long look lose lost lot loud love lower lucky lumber
    lunch machine magic main maintain major make manage manner many map marble march margin marine
    mark market master match matter maybe mayor meadow meal mean measure meat media medical meet
    member memory mental menu merchant mercy message metal meter method middle might mile milk mind
    mine minor minute mirror mission mist mixed mobile model modest moment monday money month moon
    moral more most mother motion motor mountain mouse mouth move movie much muscle museum music
    must mutual name narrow nation native nature near nearby neat neck need needle neighbor nerve
    never news next nice night nine noble noise none noon normal notebook nothing notice novel
    number object obtain obvious ocean october offer office often olive once onion only open opera
    option orange order ordinary organ origin other ought outside oven over owner oxygen pack
    package page paid pain paint pair palace paper parade pardon parent park part partner party
    pass past path patient pattern pause payment peace peak pencil people pepper percent perfect
    perhaps period permit person phone photo piano pick picture piece pilot pink pipe pity place
    plain plan plane planet plant plastic plate play please plenty plot plus pocket poem poet point
    police policy polite pond pool poor popular port post potato pound powder power prefer prepare
    present press pretty prevent price pride prince print prior prison prize problem process
    produce profit program project promise proof proper protect proud prove provide public pull
    pump punch pupil purple purpose push quality quarter queen quick quiet quite race radio rail
    rain raise range rapid rare rate rather raw reach ready real reason receive recent record
    reduce refer reform refuse region regret regular relax release relief rely remain remark
    remember remind remote remove rent repair repeat reply report request rescue resort respect
    rest result return reveal review reward ribbon rice rich ride right ring rise risk river road
    rock roof room root rope rose rough round route royal rule rural sad safe safety said sail
    salad salt same sample sand save scale scene school science score screen sea season seat second
    secret sector secure seed seem select sell send senior sense series serve service settle seven
    severe shade shadow shake shall shape share sharp sheet shelf shell shine ship shirt shock shoe
    shoot shop shore short should show shut sick side sight sign signal silent silk silver simple
    since sing single sister site size skill skin sleep slice slide slight slip slow small smart
    smell smile smoke smooth snow social soft soil soldier solid some song soon sorry sort sound
    soup source south space spare speak special speech speed spend spirit split sport spot spread
    spring square stable staff stage stamp stand star start state station stay steady steam steel
    steep stem step stick still stock stone stop store storm story straight strange stream street
    strength strike string strong student studio study style subject such sudden sugar suggest suit
    summer sun sunday supply support suppose sure surface surprise survey sweet swim switch symbol
    system table take tale talk tall tank target task taste teach team tell temple tend term test
    text than thank that theatre their theme then theory there thick thin thing think third thirty
    this those though thought thread three throat through throw ticket tide tight time tiny tired
    title today together token tomato tongue tonight took tool tooth topic total touch tough tour
    toward tower town trade traffic train travel treasure treat treaty tree trend trial tribe trick
    trip trouble truck true trust truth tube tunnel turn twelve twenty twice twin type uncle under
    union unique unit united unless until upon upper urban urgent usual valley value various vast
    vehicle version very vessel victory video view village violin visit vital voice volume vote
    wagon wait walk wall want warm waste watch water wave weak wealth weapon wear weather week
    weekend weight welcome well went west whale wheat wheel when where whether which while white
    whole whom wide wife wild will willing wind window wine winter wire wisdom wise wish with
    within without woman wonder wood wool word work world worry worth would wound write writer
    wrong yard year yellow yesterday yield young youth zero
    """.split()
)
"""What pages are drawn from: another word here makes other pages. Lower case, no punctuation."""

_COMMON = frozenset(
    """
    a i am an as at be by do go he hi if in is it me my no of oh ok on or so to up us we
    act add age ago aid aim air all and any are arm art ask ate bad bag ban bar bat bay bed bee bet
    big bin bit bow box boy bug bus but buy bye can cap car cat cop cow cry cue cup cut dad day did
    die dig dim dip dog dot dry due ear eat egg ego end era eve eye fan far fat fee few fig fit fix
    fly fog for fox fun fur gap gas get god got gum gun gut guy gym had ham has hat hay hen her hey
    hid him hip his hit hop hot how hub hug hut ice ill ink inn ion its jam jar jaw jet job jog joy
    key kid kit lab lap law lay led leg let lid lie lip log lot low mad man map mat may men met mid
    mix mob mom mud mug net new nod nor not now nut oak odd off oil old one opt orb ore our out owe
    owl own pad pan par pat pay pea pen per pet pie pig pin pit pod pop pot put ran rat raw ray red
    rib rid rim rip rob rod rot row rub rug run sad sat saw say sea see set sew sex she shy sin sip
    sir sit six ski sky son spa spy sum sun tag tan tap tar tax tea ten the tie tin tip toe ton too
    top toy try tub two use van vet via vow war was wax way web wed wet who why wig win wit won yes
    yet you zip zoo
    avenue building caution copyright entrance hear invoice miss read reserve restaurant sale
    sentence spell warn
    """.split()
)
_MORE = frozenset(
    """
    been began begun brought came cant children chose chosen couldnt didnt doesnt doing done dont
    drawn drawings drew driven drove eaten email ever fallen felt flew flown forgot given goes going
    gotten grown hadnt hasnt havent hers him himself internet isnt itself kinds knew known laid lay
    led lie made men met mine myself online ours ourselves phone possible ran ridden risen rose
    sang sat saw says seen sent shant shown slept sold spent spoke spoken stood sung swam taken
    taught theirs them themselves they thousand threw thrown til told took types upon video wasnt
    website went were werent what whose women won wont wore worn wouldnt written wrote your yours
    yourself million billion another because during into these thirteen fourteen sixteen seventeen
    eighteen nineteen sixty seventy eighty ninety tuesday wednesday thursday saturday february april
    november december september anything bought everyone everything important life lives nobody
    quantity really someone something sometimes
    """.split()
)


def _inflected(word: str) -> set[str]:
    """-s, -ed and -ing of a noun or verb, by the plain rules of spelling."""
    vowels, last = "aeiou", word[-1]
    if last == "y" and word[-2] not in vowels:
        return {f"{word[:-1]}ies", f"{word[:-1]}ied", f"{word}ing"}
    if last == "e":
        return {f"{word}s", f"{word}d", f"{word[:-1]}ing"}
    found = {f"{word}es" if word.endswith(("s", "x", "z", "ch", "sh")) else f"{word}s"}
    double = last not in f"{vowels}wxy" and word[-2] in vowels and word[-3] not in vowels
    stems = (word, word + last) if double else (word,)
    return found | {stem + ending for stem in stems for ending in ("ed", "ing")}


WORDS = DRAWN | _COMMON | _MORE | {
    form for word in DRAWN | _COMMON if len(word) > 2 for form in _inflected(word)
}  # fmt: skip
"""In lower case, without punctuation."""
