"""Lists that values are drawn from: what Faker lacks, in Latin letters, and what identifies nobody."""

from typing import Final

__all__: list[str] = []


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.strip().split("|"))


CULTURES: Final = (
    (_words("Wei Xin Jing Li Min Fang Hui Jun Lei Ying Xiaoming Yuting Zihan Haoran Mei Qing Bo Tao Yan Chen Guang"),
     _words("Wang Li Zhang Liu Chen Yang Huang Zhao Wu Zhou Xu Sun Ma Zhu Hu Guo He Lin Gao Luo Zheng Xie Tang Deng")),
    (_words("Haruto Yui Sakura Kenji Hiroshi Yuki Akira Aiko Naoko Takumi Emi Kaito Mio Ren Sora Daichi "
            "Noriko Satoshi"),
     _words("Sato Suzuki Takahashi Tanaka Watanabe Ito Yamamoto Nakamura Kobayashi Kato Yoshida Yamada "
            "Sasaki Mori Abe")),
    (_words("Min-jun Ji-woo Seo-yeon Hyun-woo Soo-jin Eun-ji Jae-hyun Yu-na Dong-hyun Hae-won Sung-min Minseo Jiho"),
     _words("Kim Lee Park Choi Jung Kang Cho Yoon Jang Lim Han Oh Seo Shin Kwon Hwang Ahn Song Ryu Hong")),
    (_words("Mohammed Ahmed Fatima Aisha Omar Ali Hassan Layla Yusuf Khalid Zainab Noor Ibrahim Samira "
            "Tariq Rania Bilal Mustafa Hanan Nadia Faisal Salma Amina Hamza Karim Leila Reem Dalia "
            "Mahmoud Walid"),
     _words("Al-Farsi Haddad Khoury Mansour Nasser Rahman Hussein Abdullah Saleh Hamdan Aziz Qureshi Siddiqui Farouk "
            "Al-Sayed Ben-Ali Bouazizi El-Masri Khalil Darwish Sharif Najjar Othman Zidan Malik Sheikh Mirza")),
    (_words("Aarav Priya Ananya Rohan Arjun Kavya Sanjay Deepika Vikram Lakshmi Rahul Sunita Anil Meera Suresh Pooja "
            "Rajesh Neha Amit Divya Karthik Shreya Manish Ritu Harpreet Gurpreet Venkatesh Padma"),
     _words("Sharma Patel Singh Kumar Gupta Reddy Iyer Nair Rao Mehta Joshi Desai Chatterjee Banerjee Mukherjee Das "
            "Pillai Menon Agarwal Kapoor Malhotra Chopra Bhatt Kulkarni Naidu Krishnan Subramanian Gill Sandhu")),
    (_words("Kwame Ama Kofi Akosua Chinedu Ngozi Oluwaseun Amara Emeka Folake Tunde Adaeze Thabo Nomvula Sipho Zanele "
            "Wanjiru Kamau Otieno Achieng Mwangi Fatou Mamadou Awa Ousmane Aminata Tendai Rudo Juma Neema"),
     _words("Mensah Owusu Boateng Okafor Adeyemi Okonkwo Eze Balogun Nwosu Dlamini Nkosi Ndlovu Mokoena "
            "Kariuki Ochieng Njoroge Diallo Traoré Keita Sow Ba Ndiaye Moyo Chikwanda Mwangi Kiprotich "
            "Abebe Tesfaye Bekele Haile")),
    (_words("Ivan Olga Dmitri Natalia Sergei Anastasia Alexei Svetlana Mikhail Ekaterina Vladimir Irina "
            "Nikolai Yulia Oleg Tatiana Andrei Oksana Taras Bohdan Iryna Yaroslav Kateryna Viktor "
            "Lyudmila Boris Galina Rustam Dinara"),
     _words("Ivanov Petrova Smirnov Kuznetsova Popov Sokolova Volkov Morozova Lebedev Kozlova Novikov "
            "Pavlova Shevchenko Kovalenko Bondarenko Tkachenko Kravchenko Melnyk Boyko Savchenko Fedorov "
            "Orlova Zaitsev Nikitina Magomedov Akhmadov Khashiyev Isayeva Umarov Dzhabrailov Estamirov "
            "Bazorkina")),
    (_words("Giorgos Eleni Dimitris Katerina Nikos Maria Yannis Sofia Kostas Ioanna Panagiotis Despina Vasilis Anna"),
     _words("Papadopoulos Georgiou Nikolaidis Pappas Dimitriou Vasileiou Antoniou Christodoulou Ioannou Demetriades "
            "Konstantinou Papandreou Economou Makris Katsaros Angelopoulos")),
    (_words("Avi Noa Yael Moshe Tamar Eitan Shira Itai Rivka Yosef Miriam Dov Hadas Gal"),
     _words("Cohen Levi Mizrahi Peretz Biton Friedman Azoulay Katz Shapira Ben-David Goldberg Rosenberg "
            "Halevi Dayan")),
    (_words("Dragan Milica Nikola Jelena Stefan Ana Petar Ivana Bojan Vesna Zoran Goran Snežana Marko "
            "Mirjana Luka Georgi Desislava Plamen Stoyan Elena Hristo"),
     _words("Jovanović Petrović Nikolić Marković Đorđević Stojanović Ilić Pavlović Kovačević Horvat "
            "Babić Novak Krajnc Dimitrov Georgieva Petkov Todorov Ivanova Hadžić Begić Hoxha Krasniqi")),
    (_words("Linh Minh Anh Hoa Huong Tuan Phuong Thanh Duc Lan Quang Mai Trang Hieu Ngoc"),
     _words("Nguyen Tran Le Pham Hoang Phan Vu Vo Dang Bui Do Ho Ngo Duong Ly")),
    (_words("Mehmet Ayşe Mustafa Fatma Emre Zeynep Hüseyin Elif Murat Emine Hakan Özlem Cem Derya Serkan "
            "Gül Kemal Nur"),
     _words("Yılmaz Kaya Demir Şahin Çelik Yıldız Öztürk Aydın Özdemir Arslan Doğan Kılıç Aslan Çetin Kara Koç Kurt")),
    (_words("Siobhán Niamh Aoife Ciarán Seán Oisín Gráinne Pádraig Eoin Caoimhe Rhys Carys Llewellyn "
            "Gwen Hamish Fiona Ewan Morag Iain Catriona"),
     _words("O'Brien O'Sullivan McCarthy Fitzgerald O'Connor MacDonald McKenzie Kavanagh Gallagher Byrne Griffiths "
            "ap-Rhys Llewelyn McAllister Ó Briain Murchadha Abercrombie")),
)  # fmt: skip
"""Given and family names of a culture."""
TITLES: Final = _words("Mr Mr. Mrs Mrs. Ms Ms. Miss Dr Dr. Prof. Professor Judge Sir Lady Captain Rev.")
PARTICLES: Final = _words("de van von di del da la el bin dos")

COMPANY_STARTS: Final = _words(
    "North Blue Green Silver Bright Clear Iron Stone River Lake Sun Star Nova Alpha Omni Terra Aero Hydro Quant Data "
    "Cloud Net Bio Med Agri Fin Safe Swift True Prime Apex Vertex Zen Lumen Vela Orbi Syn Inno Nex Ever Red Oak Cedar"
)
COMPANY_MIDDLES: Final = _words(
    "wave field bridge gate point path stream line works ware tech soft core lab labs mark craft forge hub base link "
    "grid sight scale flow mind ridge haven crest port sys gen io ix ia eon ara ista trade build"
)
COINED: Final = (
    _words(
        "acti ader alu ano arca aste avi axo bri cala civi cora dano data deli digi docu duo edu elo "
        "enti epi euro evo fac feli fidu flo foru gali geo gra heli hoku icar ido inno inter intra kala "
        "kine koda lexi libe lumi luno mago matu medi meri micro mobi moda multi navi neo nimbu novo "
        "nutri octo onco opti orbi pala pano para pay peri pixe plano poly pri pro quali radi remo retra "
        "robo sali sci senti simu soci sola spiro stra sumo swi syno tele tera tranzi tri tru uni urba "
        "vali veri vibra vivi vola xeno yonda zeni zeta"
    ),
    _words(
        "metrics scan send share shop sign soft source space spire spot stack stat sure tech test thing "
        "tran trek tude vance vant vera vest via vise vista void ware watch way wise wright xis zon cast "
        "chek cloud connect dyne fact fleet flux form gen graph hub lytics lab lex line logic mart mate "
        "med meter mine nome nexus nova pact path pay peer plex point pulse rank rise ro rum ply sera "
        "tix"
    ),
)
"""Halves of names that were coined."""
COMPANY_PHRASES: Final = (
    _words(
        "Collective Social Environmental Civic Open Standard Compass Urban Legal Rural Retail Personal Human Public "
        "Private Global Local Modern Early Second Forward Common Central Creative Clever Little Big Honest Simple "
        "Total United Allied Advanced Applied General Integrated Organic Solar Digital Mobile Smart First Next"
    ),
    _words(
        "Health Energy Market Data Learning Housing Farm Water Food Garden Travel Credit Rating Bond Weather Transit "
        "Harvest Climate Policy Traffic Safety Genome Energy Patent Property School Wage Tax Book Film Sound Sleep"
    ),
    _words(
        "Insights Resources Care Works Score Index Exchange Engine Partners Analytics Line Lab Agency Watch Network "
        "Alliance Depot Supply Office Project Trust Guild Union Club Studio Collective Research Institute Services "
        "Advisors Ventures Express Dynamics Review Outfitters Markets"
    ),
)  # fmt: skip
"""Words of companies that are called by what they do."""
COMPANY_ENDS: Final = _lines(
    "Inc. | Inc | Ltd | Ltd. | LLC | plc | GmbH | AG | S.A. | B.V. | AB | Corp. | Corporation | Group | Holdings | "
    "& Sons | & Co. | Partners | Associates | Industries | Solutions | Systems | Consulting | Logistics | Insurance | "
    "Pharmaceuticals | Technologies | Bakery | Motors | Properties | Foods | Media | Airlines | Energy | Capital | "
    "Construction | Plumbing | Law Firm | Dental | Robotics | Security | Travel | Clothing | Café | Restaurant | Grill"
)
KNOWN_COMPANIES: Final = _lines(
    "Google | Microsoft | Amazon | Apple | Tesla | Toyota | Siemens | Volkswagen | Samsung | Sony | "
    "Nestlé | Unilever | Walmart | Target | Starbucks | McDonald's | IKEA | Spotify | Netflix | Uber | "
    "Airbnb | Deutsche Bahn | Lufthansa | Ryanair | Air France | FedEx | DHL | UPS | Pfizer | Moderna | "
    "Bayer | Novartis | Roche | Shell | BP | Goldman Sachs | JPMorgan Chase | Deutsche Bank | HSBC | "
    "Barclays | Santander | Orange | Vodafone | Verizon | AT&T | Comcast | Boeing | Airbus | General "
    "Electric | IBM | Intel | AMD | Nvidia | Oracle | Cisco | Dell | Adobe | Meta | Accenture | Deloitte "
    "| KPMG | PwC | McKinsey | Zara | H&M | Adidas | Nike | Best Buy | Home Depot | Costco | Tesco"
)
HOSPITALS: Final = _lines(
    "{city} General Hospital | St. {first}'s Hospital | {last} Memorial Hospital | {city} Medical Center | "
    "{region} Regional Hospital | University Hospital {city} | {last} Clinic | {city} Family Practice | "
    "Royal {city} Infirmary | Mercy Hospital | {city} Children's Hospital | {last} & {last} Dental Practice | "
    "Mount {last} Health System | {city} Eye Clinic | Hospital {city} Nord | Riverside Urgent Care"
)
SCHOOLS: Final = _lines(
    "University of {city} | {city} University | {last} College | {city} High School | {last} Elementary School | "
    "St. {first}'s School | {city} Community College | Technical University of {city} | {region} State University | "
    "{last} Academy | Lycée {last} | {city} Business School | Institute of {city} | {last} Middle School | "
    "{city} School of Medicine | Universidad de {city}"
)
AGENCIES: Final = _lines(
    "Ministry of Justice | Ministry of the Interior | Ministry of Finance | {city} City Council | {city} "
    "District Court | {city} Regional Court | Court of Appeal of {city} | Supreme Court of {country} | "
    "{city} Police Department | {city} County Council | Department of Health | Constitutional Court | "
    "{country} Red Cross | {city} Bar Association | Federal Court of Justice | {region} Administrative "
    "Court | Public Prosecutor's Office of {city} | High Court of {city} | {city} Assize Court | "
    "European Commission | World Health Organization | United Nations | Home Office | Internal Revenue "
    "Service | FBI | NHS | NATO | UNICEF | Amnesty International | {country} Football Federation | "
    "{city} Town Hall | Environment Agency | {city} Municipal Court | State Security Court | Court of "
    "Cassation | Regional Council of {region} | {city} Fire Department"
)
BANKS: Final = _lines(
    "{city} Savings Bank | Bank of {city} | {last} Bank | First National Bank of {city} | {region} Credit Union | "
    "Sparkasse {city} | Banco de {city} | {last} & {last} Capital | Lloyds Bank | Wells Fargo | BNP Paribas | ING"
)
TEAMS: Final = _lines(
    "{city} United | {city} FC | FC {city} | {city} Rovers | Real {city} | {city} Tigers | {city} "
    "Symphony Orchestra | The {last} Quartet | {city} Wanderers | SC {city} | The {last} Brothers | "
    "{city} Rugby Club | {last} Trio"
)
PLACES: Final = _lines(
    "{city} Airport | {city} Central Station | {last} Park | {last} Bridge | Lake {last} | Mount {last} "
    "| {city} Castle | {last} Street | {last} Avenue | {last} Square | River {last} | {city} Harbour | "
    "{city} Old Town | Cape {last} | {last} Stadium | {city} Cathedral | Hotel {last} | {last} Hall | "
    "{city} Mall | {last} Beach | Fort {last}"
)
CITIES: Final = _lines(
    "London | Paris | Berlin | Madrid | Rome | Vienna | Warsaw | Prague | Budapest | Athens | Lisbon | "
    "Dublin | Oslo | Stockholm | Copenhagen | Helsinki | Amsterdam | Brussels | Zurich | Geneva | Milan "
    "| Naples | Barcelona | Seville | Porto | Lyon | Marseille | Strasbourg | Hamburg | Munich | Cologne "
    "| Frankfurt | Kraków | Gdańsk | Istanbul | Ankara | Diyarbakır | Izmir | Nicosia | Limassol | Sofia "
    "| Bucharest | Belgrade | Zagreb | Sarajevo | Kyiv | Lviv | Kharkiv | Moscow | St Petersburg | "
    "Grozny | Kazan | Tbilisi | Yerevan | Baku | Tallinn | Riga | Vilnius | Minsk | Chișinău | "
    "Manchester | Birmingham | Leeds | Glasgow | Edinburgh | Belfast | Cardiff | Bristol | Oxford | "
    "Cambridge | York | Brighton | New York | Los Angeles | Chicago | Houston | Phoenix | Philadelphia | "
    "San Diego | Dallas | Austin | Seattle | Boston | Denver | Portland | Atlanta | Miami | Tampa | "
    "Orlando | Detroit | Minneapolis | St. Louis | San Francisco | Oakland | Sacramento | Las Vegas | "
    "Salt Lake City | New Orleans | Nashville | Charlotte | Raleigh | Pittsburgh | Cleveland | "
    "Cincinnati | Columbus | Milwaukee | Springfield | Toronto | Montreal | Vancouver | Ottawa | Calgary "
    "| Mexico City | Guadalajara | Bogotá | Lima | Santiago | Buenos Aires | São Paulo | Rio de Janeiro "
    "| Caracas | Cairo | Lagos | Accra | Nairobi | Kampala | Addis Ababa | Johannesburg | Cape Town | "
    "Durban | Tunis | Algiers | Casablanca | Dakar | Dubai | Abu Dhabi | Doha | Riyadh | Jeddah | Tehran "
    "| Baghdad | Beirut | Amman | Jerusalem | Tel Aviv | Karachi | Lahore | Delhi | Mumbai | Bangalore | "
    "Chennai | Kolkata | Dhaka | Colombo | Kathmandu | Bangkok | Hanoi | Ho Chi Minh City | Jakarta | "
    "Manila | Singapore | Kuala Lumpur | Hong Kong | Shanghai | Beijing | Shenzhen | Taipei | Seoul | "
    "Busan | Tokyo | Osaka | Kyoto | Sydney | Melbourne | Brisbane | Perth | Auckland | Wellington"
)
COUNTRIES: Final = _lines(
    "France | Germany | Italy | Spain | Portugal | Poland | Turkey | Ukraine | Russia | the Netherlands "
    "| Belgium | Switzerland | Austria | Hungary | Romania | Bulgaria | Greece | Cyprus | Croatia | "
    "Serbia | Slovenia | Slovakia | the Czech Republic | Denmark | Sweden | Norway | Finland | Iceland | "
    "Ireland | the United Kingdom | England | Scotland | Wales | the United States | USA | UK | Canada | "
    "Mexico | Brazil | Argentina | Chile | Colombia | Peru | Venezuela | Cuba | China | Japan | South "
    "Korea | North Korea | India | Pakistan | Bangladesh | Vietnam | Thailand | Indonesia | Malaysia | "
    "the Philippines | Australia | New Zealand | Egypt | Morocco | Algeria | Tunisia | Nigeria | Ghana | "
    "Kenya | Ethiopia | South Africa | Israel | Jordan | Syria | Iraq | Iran | Saudi Arabia | Qatar | "
    "the UAE | Kuwait | Afghanistan | Georgia | Armenia | Azerbaijan | Kazakhstan | Moldova | Latvia | "
    "Lithuania | Estonia | Belarus | Albania | Kosovo | Malta | Monaco"
)
REGIONS: Final = _lines(
    "Bavaria | Saxony | Catalonia | Andalusia | Tuscany | Lombardy | Sicily | Brittany | Normandy | "
    "Provence | Flanders | Wallonia | Yorkshire | Cornwall | Kent | Essex | Surrey | Lancashire | "
    "Northern Ireland | Texas | California | Florida | Ohio | Georgia | Michigan | Virginia | Oregon | "
    "Nevada | Arizona | Colorado | Montana | Kansas | Alabama | Ontario | Quebec | Alberta | British "
    "Columbia | New South Wales | Queensland | Punjab | Gujarat | Kerala | Tamil Nadu | Hokkaido | "
    "Silesia | Masovia | Transylvania | Crimea | Donbas | Chechnya | Dagestan | Ingushetia | Siberia | "
    "Anatolia | Kurdistan | the Balkans | the Alps | Scandinavia | the Middle East | West Africa | "
    "Southeast Asia | Latin America | Jutland"
)
STATES: Final = _words(
    "AL AK AZ AR CA CO CT DE FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE NV NH NJ NM NY NC "
    "ND OH OK OR PA RI SC SD TN TX UT VT VA WA WV WI WY DC ON QC BC AB NSW VIC QLD"
)
STREET_KINDS: Final = _words(
    "Street St St. Avenue Ave Ave. Road Rd Rd. Lane Ln Drive Dr Boulevard Blvd Blvd. Court Ct Place Pl Square Terrace "
    "Way Close Crescent Gardens Highway Hwy Parkway Row Mews Circle Trail Hill Walk"
)
STREET_NAMES: Final = _lines(
    "Main | Oak | Maple | Cedar | Elm | Pine | Park | Church | High | Mill | Station | Victoria | King | "
    "Queen | Lake | River | Hill | Washington | Lincoln | Jefferson | 2nd | 5th | 42nd | Market | Bridge "
    "| School | North | West End | Rose | Sunset | Willow | Chestnut | Birch | Meadow | Spring | Garden "
    "| Valley | Forest | Orchard | Ashton | Kensington | Harbour | Mulberry"
)
STREETS_ELSEWHERE: Final = _lines(
    "Λ. Αλεξάνδρας ## | Ερμού ## | ул. Ленина ## | ulica Długa ## | Király u. ## | Hauptstr. ## | rue de "
    "Rivoli ## | Calle de Alcalá ## | C/ Mayor ## | Via Garibaldi ## | Rua Augusta ### | Kungsgatan ## | "
    "Karl Johans gate ## | Mannerheimintie ## | Nørrebrogade ## | Laugavegur ## | Keizersgracht ### | "
    "Wenceslas Square ## | Bulevardul Unirii ## | Istiklal Caddesi ## | Jalan Sudirman No. ## | 台北市中山路 "
    "## | Avda. de la Constitución ## | Av. Paulista #### | Trg Republike ## | Ilica ## | Vitosha Blvd "
    "## | Gran Vía ## | Piazza San Marco ## | Damrak ## | Storgatan ##"
)
MILITARY_FORMS: Final = (
    "PSC ####, Box ####|APO AE #####", "Unit #### Box ####|DPO AP #####", "USNS @@@@@@|FPO AA #####",
    "CMR ###, Box ###|APO AE #####",
)  # fmt: skip
UNITS: Final = tuple(
    f" {unit}" if unit[0] not in ",#" else unit
    for unit in _lines(
        ", Apt {n} | Apt. {n} | , Apt. {n} | , Suite {n} | Suite {n} | , Flat {n} | , Unit {n} | #{n} | "
        ", Floor 3 | , Room {n} | , Apt {n}B"
    )
)

CASE_FORMS: Final = _lines(
    "#####/## | ####/## | no. #####/## | nos. #####/## | ##/#### | ###/#### | II @ ### | @-###/## | @@ "
    "###/## | C-###/## | #:##-cv-##### | ##-##### | ####-@@-###### | ##/####/@@ | @# ###/## | No. "
    "##-#### | ## @ ###/## | ####/#### | #-###/##-## | CR-####-#### | @@/##/##### | [####] @@@@ ## | "
    "##-###-#### | F.####/## | K ###/## | III ZR ##/##"
)
RECORD_FORMS: Final = _lines(
    "####### | MRN-####### | MRN####### | ######## | PT-###### | P####### | ##-##-## | @@####### | "
    "H######## | PAT-##### | ###-###-####"
)
ID_FORMS: Final = _lines(
    "@######## | @@####### | ######### | ########## | ###-##-#### | @@-###### | @@@-####-## | %%%%%%%% | "
    "####-####-#### | @##-####-#### | POL-######## | ORD-##### | INV-####-#### | TKT###### | #%%%%%%%%%% "
    "| ##########-@ | @###-####-####-## | EMP##### | BK%%%%%% | SN-%%%%%%%% | ###### | @@@###### | ## ## "
    "## ### | #### #### | @@## ###### | ##-####### | @@#####@"
)
PHONE_FORMS: Final = _lines(
    "(###) ###-#### | ###-###-#### | +1 ### ### #### | ###.###.#### | +44 7### ###### | 07### ###### | "
    "020 #### #### | +49 30 ####### | +33 # ## ## ## ## | 0# ## ## ## ## | +48 ### ### ### | +91 ##### "
    "##### | 1-800-###-#### | ### #### | +34 ### ## ## ## | (0##) #### #### | +1 (###) ###-#### x### | "
    "00## ### ### ### | (##) ###-### | ### ### ### | ## ###### | ##########"
)

DRUGS: Final = _lines(
    "metformin | Metformin | lisinopril | Lisinopril | atorvastatin | Atorvastatin | Lipitor | ibuprofen "
    "| Advil | paracetamol | Tylenol | amoxicillin | Amoxicillin | Augmentin | sertraline | Sertraline | "
    "Zoloft | Prozac | fluoxetine | Fluoxetine | warfarin | Eliquis | Xarelto | insulin glargine | "
    "Lantus | Ozempic | omeprazole | Omeprazole | levothyroxine | Levothyroxine | Synthroid | prednisone "
    "| Prednisone | gabapentin | Gabapentin | Xanax | Ritalin | Humira | Keytruda | aspirin | Albuterol "
    "| albuterol inhaler | Metoprolol | metoprolol succinate | Losartan | Amlodipine | "
    "Hydrochlorothiazide | Furosemide | Simvastatin | Tramadol | Clonazepam | Escitalopram | "
    "Pantoprazole | Montelukast | Azithromycin | Ciprofloxacin | Doxycycline | Cephalexin | Naproxen | "
    "Meloxicam | Duloxetine | Venlafaxine | Bupropion | Trazodone | Quetiapine | Lithium | Methotrexate "
    "| Adalimumab | Rituximab | Trastuzumab | Tamoxifen | Ondansetron | Enoxaparin | Clopidogrel | "
    "Carvedilol | Spironolactone | Digoxin | Allopurinol | Colchicine | Tamsulosin | Finasteride | "
    "Insulin Lispro | Empagliflozin | Sumatriptan | Topiramate | Levetiracetam | Carbidopa-Levodopa | "
    "Donepezil"
)
DISEASES: Final = _lines(
    "type 2 diabetes | Type 2 Diabetes Mellitus | hypertension | Hypertension | Essential Hypertension | "
    "asthma | Asthma | COPD | Chronic Obstructive Pulmonary Disease | Parkinson's disease | Alzheimer's "
    "disease | Crohn's disease | Ulcerative Colitis | Hodgkin lymphoma | Hashimoto's thyroiditis | "
    "Graves' disease | Hypothyroidism | Hyperlipidemia | Lyme disease | COVID-19 | pneumonia | "
    "Community-Acquired Pneumonia | migraine | Migraine with Aura | Migraine | atrial fibrillation | "
    "Atrial Fibrillation | Congestive Heart Failure | Coronary Artery Disease | Down syndrome | Tourette "
    "syndrome | Guillain-Barré syndrome | eczema | anaemia | Iron Deficiency Anemia | depression | Major "
    "Depressive Disorder | Generalized Anxiety Disorder | Post-Traumatic Stress Disorder | Bipolar "
    "Disorder | Irritable Bowel Syndrome | Gastroesophageal Reflux Disease | Rheumatoid Arthritis | "
    "Osteoarthritis | Osteoporosis | Gout | Psoriasis | Lupus | Multiple Sclerosis | Epilepsy | Chronic "
    "Kidney Disease | Deep Vein Thrombosis | Pulmonary Embolism | Sleep Apnea | Urinary Tract Infection "
    "| Sepsis | Cellulitis | Acute Appendicitis | Cholecystitis | Pancreatitis | Hepatitis C | Breast "
    "Cancer | Prostate Cancer | Non-Small Cell Lung Cancer | Lumbar Radiculopathy | Rotator Cuff Tear | "
    "Carpal Tunnel Syndrome"
)
PRODUCTS: Final = _lines(
    "iPhone 15 | iPad | MacBook Pro | Windows 11 | Excel | Photoshop | Galaxy S24 | PlayStation 5 | "
    "Kindle | Thermomix | Python | React | Docker | Kubernetes | PostgreSQL | Ubuntu | ChatGPT | Gmail | "
    "Outlook | Zoom | Slack | Teams | Jira | Model 3 | Corolla | Golf | Coca-Cola | Nutella | Lego | "
    "Monopoly | Android | Bluetooth | TensorFlow | WordPress"
)
NATIONALITIES: Final = _words(
    "French German Italian Spanish Polish Turkish Ukrainian Russian Dutch Belgian Swiss Austrian "
    "Hungarian Romanian Greek Cypriot Croatian Danish Swedish Norwegian Finnish Irish British Scottish "
    "Welsh American Canadian Mexican Brazilian Chinese Japanese Korean Indian Pakistani Vietnamese Thai "
    "Egyptian Nigerian Kenyan Ethiopian Israeli Syrian Iraqi Iranian"
)
LANGUAGES: Final = _words(
    "English French German Spanish Italian Portuguese Polish Turkish Russian Arabic Mandarin Hindi "
    "Japanese Korean Latin Greek Hebrew Swahili Dutch Swedish Danish Finnish Czech Hungarian Romanian "
    "Vietnamese Thai Tamil Bengali Urdu"
)
WEEKDAYS: Final = _words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
CODE_FORMS: Final = _lines(
    "992## | @#### | J#### | NDC ####-####-## | NDC-####-####-## | @##.# | CPT ##### | ICD-10 @##.# | "
    "#.#.# | v#.##.# | RFC #### | HTTP ### | 0x%%%% | @@-## | ISO #### | EN ####-# | Q# 20## | §## | "
    "Art. ## | R## | B-## | ##A | ####K | #####-## mg"
)
NOT_PEOPLE: Final = frozenset(
    _words(
        "mars venus jupiter mercury saturn thor apollo atlas odin loki zeus zelda luna caesar jesus santa "
        "moses roman asia angeles bama carolina dakota montana eden troy duke dell mercedes porsche siri "
        "alexa claude cortana avon hilton abbott bale cena mario luigi pascal kelvin ada java delta nova "
        "aurora vista athena artemis hermes ares hera gaia kali shiva krishna vishnu buddha allah islam "
        "america africa europa oceania korea britain england scotland ireland wales normandy york jersey "
        "devon kent essex saxon celtic sahara everest amazon orion sirius vega lyra leo virgo aries libra "
        "halloween ramadan diwali easter noel lent xmas monsoon bayern lorraine champagne chardonnay cognac "
        "cheddar brie margarita martini mojito tesla kia lexus acura chevy dodge bentley gucci prada chanel "
        "dior armani hermès nike adidas reebok puma ikea lego google facebook twitter jan sep dax monte "
        "cassandra stan demeter faber elden telma earl rani arab georgian parisian persian jain tudor "
        "sherlock commodore wren magnolia dahlia marxist nazi nazis lenin stalin hitler bitcoin ethereum "
        "cardano doge solana pepsi fanta nestle nestlé"
    )
)
"""What Faker's lists hold and what is mostly said of gods, planets, brands, feasts and regions."""
